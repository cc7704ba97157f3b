"""The container images: `python3 -m hack.images build [NAME ...] [--load]`."""
