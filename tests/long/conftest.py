"""What takes too long for `make test`: campaigns that `make test-long` runs."""

from tests.unit.workers.conftest import spelling, tiny_model

__all__ = ["spelling", "tiny_model"]
