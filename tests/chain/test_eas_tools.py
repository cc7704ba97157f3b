"""EAS's own tools read what we attest: its SDK, as explorers and other applications use it."""

import json
import subprocess
from pathlib import Path

from kubeswarm_contracts import AttestationData

READER = Path(__file__).parent / "eas"


def test_the_sdk_reads_an_attestation_and_its_fields(participant):
    assert (READER / "node_modules").is_dir(), "the SDK is missing: run make test-contracts"
    deployment = participant.chain.deployment
    attestation: AttestationData = participant.attestation(1, 5)
    uid = participant.transactor.attest(attestation).uid
    arguments = [participant.anvil.url, deployment.eas, deployment.schema_registry, uid]
    run = subprocess.run(["node", READER / "read.mjs", *arguments], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    read = json.loads(run.stdout)
    fields = read.pop("fields")
    assert read == {
        "valid": True,
        "attester": participant.account.address,
        "revocable": False,
        "revoked": False,
        "resolver": deployment.resolver,
    }
    assert fields == {
        "swarmId": attestation.swarm_id,
        "nodeId": str(int(attestation.node_id, 16)),
        "firstRound": "1",
        "lastRound": "5",
        "recordsRoot": attestation.records_root,
        "previous": attestation.previous,
        "head": attestation.head,
        "model": attestation.model,
        "samples": str(attestation.samples),
        "tokens": str(attestation.tokens),
        "reward": str(attestation.reward),
    }
