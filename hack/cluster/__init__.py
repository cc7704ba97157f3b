"""A real one-machine Kubernetes, built from Go modules: `python3 -m hack.cluster up|down|status|build|import`."""
