"""Puts the contracts on a chain: `python -m kubeswarm_contracts.deploy --url URL`.

Idempotent: what is there already is left alone. Prints one JSON object a line: each step, then the deployment, which
other programs take as `chain.deployments`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubeswarm_api.encoding import from_hex
from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.account import Account
from kubeswarm_contracts.chain import Chain
from kubeswarm_contracts.deployments import Deployment
from kubeswarm_contracts.errors import ChainRejected
from kubeswarm_contracts.plan import DEPLOYER, SALT, SCHEMA, plan
from kubeswarm_contracts.transactor import Transactor

DEVELOPMENT_CHAIN = 31337
#: The first account of every anvil and Hardhat node: public, worth nothing, the default on a development chain only.
DEVELOPMENT_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

_SCHEMAS = interface("SchemaRegistry")


def deploy(chain: Chain, account: Account) -> Iterator[dict[str, Any]]:
    """Creates each contract that is missing, then registers the schema; yields an object a step. Raises ChainError."""
    if not chain.has_code(DEPLOYER):
        raise ChainRejected("NoDeployer", f"chain {chain.deployment.chain_id} lacks the CREATE2 deployer at {DEPLOYER}")
    transactor = Transactor(chain, account)
    planned = plan(chain.deployment.chain_id)
    blocks: list[int] = []
    for step in planned.steps:
        event: dict[str, Any] = {"step": step.name, "address": step.address}
        if chain.has_code(step.address):
            yield event | {"state": "present"}
            continue
        result = transactor.call(DEPLOYER, SALT + step.creation)
        if not chain.has_code(step.address):
            raise ChainRejected("NotDeployed", f"{step.name} is not at {step.address} after {result.tx_hash}")
        blocks.append(result.block)
        yield event | {"state": "created", "gas": result.gas_used, "transaction": result.tx_hash}
    yield {"step": "schema", "uid": planned.deployment.schema_uid} | _register_schema(transactor, planned.deployment)
    block = 0 if chain.deployment.chain_id == DEVELOPMENT_CHAIN else min(blocks, default=0)
    yield {"step": "done", "deployment": planned.deployment.model_copy(update={"block": block}).to_json()}


def _register_schema(transactor: Transactor, deployment: Deployment) -> dict[str, Any]:
    query = {
        "to": deployment.schema_registry,
        "data": "0x" + _SCHEMAS.call("getSchema", from_hex(deployment.schema_uid)).hex(),
    }
    answer = transactor.chain.rpc.request("eth_call", query, "latest")
    uid = _SCHEMAS.result("getSchema", bytes.fromhex(answer[2:]))[0][0]
    if any(uid):
        return {"state": "present"}
    call = _SCHEMAS.call("register", SCHEMA, deployment.resolver, False)
    return {"state": "created", "gas": transactor.call(deployment.schema_registry, call).gas_used}


def _account(chain_id: int, key_file: Path | None) -> Account:
    if key_file is not None:
        return Account.from_file(key_file)
    if chain_id == DEVELOPMENT_CHAIN:
        return Account(DEVELOPMENT_KEY)
    raise ChainRejected("NoKey", f"chain {chain_id} is not a development chain: give --key-file")


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kubeswarm_contracts.deploy", description=__doc__)
    parser.add_argument("--url", required=True, help="the chain's JSON-RPC endpoint")
    parser.add_argument("--key-file", type=Path, help="private key that pays; needed but on a development chain")
    parser.add_argument("--wait", type=float, default=120.0, metavar="SECONDS", help="how long the chain may take")
    options = parser.parse_args(arguments)
    try:
        # Which contracts to expect follows from the chain's id, which only the chain can say.
        chain = Chain(options.url, plan(DEVELOPMENT_CHAIN).deployment)
        _print({"step": "wait", "chain": chain.rpc.name})
        chain.wait(options.wait)
        chain_id = chain.chain_id()
        chain = Chain(options.url, plan(chain_id).deployment)
        for event in deploy(chain, _account(chain_id, options.key_file)):
            _print({"chainId": chain_id} | event)
    except (KubeSwarmError, ValueError) as error:
        _print({"step": "failed", "error": type(error).__name__, "message": str(error)})
        return 1
    return 0


def _print(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    sys.exit(main())
