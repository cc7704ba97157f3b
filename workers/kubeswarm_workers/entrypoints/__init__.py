"""What the containers run: `python -m kubeswarm_workers.entrypoints.<role>`."""
