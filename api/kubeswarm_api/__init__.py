"""What crosses a boundary in KubeSwarm: resource types, names, records, encodings, digests and errors."""
