"""What the operator asks of its process before it begins."""

import subprocess
import sys

#: Begins with few open files allowed, and tells what is allowed when the configuration is read.
PROGRAM = """
import gc, resource, sys
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_operator import __main__ as program

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

def load():
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard), "open files"
    assert gc.get_threshold()[0] == 50_000 and gc.get_freeze_count() > 50_000, "garbage"
    assert not {"web3", "eth_account"} & set(sys.modules), "a third of a start"
    raise InvalidConfig("config: nothing here")

program.load = load
raise SystemExit(program.main())
"""


def test_a_connection_for_each_node_and_few_looks_for_garbage() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr == "kubeswarm-operator: config: nothing here\n"
