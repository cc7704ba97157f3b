"""From the cluster, the pods and the chain to frozen snapshots."""
