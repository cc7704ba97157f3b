"""The local cluster and the image builds behind `make demo` and the tests. Standard library only; never shipped."""
