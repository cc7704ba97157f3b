"""The operator beside KubeRay on one API server with kwok's nodes: `python -m hack.bench.operator`."""
