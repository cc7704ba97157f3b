"""Deployment: idempotent, at constant addresses, on a development chain, another chain, and an OP Stack chain."""

import json
import subprocess
import sys

import pytest

from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_contracts import Account, Chain, ChainRejected, deployment, new_key
from kubeswarm_contracts.abi import interface
from kubeswarm_contracts.deploy import DEVELOPMENT_KEY, deploy
from kubeswarm_contracts.plan import OP_EAS, OP_SCHEMA_REGISTRY, Step, plan

OURS = ("NodeRegistry", "SwarmRegistry", "RoundResolver", "ReputationRegistry", "Treasury", "Crowdfunding")


def run(*arguments: str) -> tuple[int, list[dict]]:
    done = subprocess.run(
        [sys.executable, "-m", "kubeswarm_contracts.deploy", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_command_deploys_once_at_the_addresses_that_are_shipped(start_anvil):
    anvil = start_anvil()
    status, steps = run("--url", anvil.url)
    assert status == 0
    assert [step["step"] for step in steps] == [
        "wait", "SchemaRegistry", "EAS", *OURS, "schema", "done",
    ]  # fmt: skip
    assert {step["state"] for step in steps[1:-1]} == {"created"}
    assert steps[-1]["deployment"] == deployment(31337).to_json()
    block = anvil.chain.block()
    status, steps = run("--url", anvil.url)
    assert status == 0
    assert {step["state"] for step in steps[1:-1]} == {"present"}
    assert anvil.chain.block() == block


def test_another_chain_needs_a_key_and_gets_a_deployment_to_read(start_anvil, tmp_path):
    anvil = start_anvil("--chain-id", "424242")
    status, steps = run("--url", anvil.url)
    assert status == 1
    assert "give --key-file" in steps[-1]["message"]
    secret, address = new_key()
    anvil.rpc("anvil_setBalance", address, hex(10**18))
    (tmp_path / "key").write_text(secret + "\n")
    status, steps = run("--url", anvil.url, "--key-file", str(tmp_path / "key"))
    assert status == 0
    assert secret[2:] not in json.dumps(steps)
    (tmp_path / "424242.json").write_text(json.dumps(steps[-1]["deployment"]))
    for overrides in [tmp_path, tmp_path / "424242.json"]:
        found = deployment(424242, overrides)
        assert found.block > 0
        assert Chain(anvil.url, found).key_of(address) is None
    assert deployment(31337, tmp_path) == deployment(31337)


def test_an_op_stack_chain_keeps_its_own_eas(start_anvil):
    anvil = start_anvil("--chain-id", "8453")
    chain = Chain(anvil.url, plan(8453).deployment)
    payer = Account(DEVELOPMENT_KEY)
    # The predeploys, as the chain's genesis has them.
    for address, step in [
        (OP_SCHEMA_REGISTRY, Step.of(interface("SchemaRegistry"))),
        (OP_EAS, Step.of(interface("EAS"), OP_SCHEMA_REGISTRY)),
    ]:
        sent = {"from": payer.address, "data": to_hex(step.creation), "gas": hex(10**7)}
        made = anvil.receipt(anvil.rpc("eth_sendTransaction", sent))["contractAddress"]
        anvil.rpc("anvil_setCode", address, anvil.rpc("eth_getCode", made, "latest"))
    steps = list(deploy(chain, payer))
    assert [step["step"] for step in steps] == [*OURS, "schema", "done"]
    made = steps[-1]["deployment"]
    assert (made["eas"], made["nodeRegistry"]) == (OP_EAS, deployment(31337).node_registry)
    assert made["block"] > 0


def test_a_chain_without_the_contracts_says_so(start_anvil):
    anvil = start_anvil()
    with pytest.raises(ChainRejected, match="deploy the contracts first") as caught:
        anvil.chain.next_round("0x" + 64 * "0", "0x" + 40 * "0")
    assert caught.value.reason == "NotDeployed"
    with pytest.raises(InvalidConfig, match="no contracts are known on chain 5"):
        deployment(5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "5.json: file: Invalid JSON"),
        ('{"chainId": 5}', "5.json: eas: Field required"),
        (json.dumps(deployment(31337).to_json()), "5.json: chainId is 31337, but the chain is 5"),
        (json.dumps(deployment(31337).to_json() | {"chainId": 5, "eas": "0x12"}), "5.json: eas: String should match"),
    ],
)
def test_a_bad_deployment_file_is_named_with_its_field(tmp_path, content, message):
    (tmp_path / "5.json").write_text(content)
    with pytest.raises(InvalidConfig, match=message):
        deployment(5, tmp_path)
    with pytest.raises(InvalidConfig, match="there is no file"):
        deployment(5, tmp_path / "none.json")
