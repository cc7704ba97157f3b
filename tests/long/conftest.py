"""What takes too long for `make test`: campaigns that `make test-long` runs."""

from tests.chain.attestor.conftest import attestor
from tests.chain.conftest import start_anvil
from tests.unit.workers.conftest import spelling, tiny_model

__all__ = ["attestor", "spelling", "start_anvil", "tiny_model"]
