"""A real PostgreSQL server of the test's own, from Debian's package."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeswarm_contracts import Account
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from tests.chain.conftest import Anvil


def program(name: str) -> str:
    """Debian keeps the server's programs off PATH."""
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    assert found, f"{name} is missing: make test-postgres installs it"
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The folder with the server's socket; it listens on nothing else, and trusts whoever may open that."""
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if user is not None:
        shutil.chown(folder, user)
    folder.chmod(0o755)
    data = folder / "data"
    quiet = {"user": user, "check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"], **quiet)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    control = [program("pg_ctl"), "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], **quiet)
    yield folder
    subprocess.run([*control, "-m", "fast", "stop"], **quiet)
    shutil.rmtree(folder)


@pytest.fixture
def database(server: Path) -> Iterator[Callable[[str], str]]:
    """Makes an empty database of that name, and gives its URL."""

    def make(name: str) -> str:
        for statement in (f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}"):
            command = [program("psql"), "-h", server, "-U", "postgres", "-q", "-c", statement]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return f"postgresql://postgres@/{name}?host={server}"

    yield make


@pytest.fixture
def own_anvil() -> Iterator[Anvil]:
    """An anvil of the test's own, with the contracts."""
    anvil = Anvil()
    list(deploy(anvil.chain, Account(DEVELOPMENT_KEY)))
    yield anvil
    anvil.stop()
