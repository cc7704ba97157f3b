"""The chain that `kubeswarm run` starts: what was on it is there when it starts again, and none of it stays behind."""

from pathlib import Path

import pytest

from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_cli.local.services import LocalChain
from kubeswarm_contracts import Chain, ChainUnreachable, deployment

TRAINING = TrainingSpec.model_validate(
    {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}
)


def test_a_runs_chain_goes_on_where_it_ended_and_dies_whole(tmp_path: Path) -> None:
    first = LocalChain(tmp_path)
    config, swarm_id = first.start("uid", TRAINING)
    assert config == deployment(31337).config(first.url)
    reached = Chain(first.url, deployment(31337)).block()
    first.process.terminate()
    assert first.process.wait(60)

    second = LocalChain(tmp_path)
    chain = Chain(second.url, deployment(31337))
    assert second.start("uid", TRAINING)[1] == swarm_id
    assert chain.block() >= reached
    assert "starting from state.json" in second.process.log.read_text()
    second.process.kill()
    with pytest.raises(ChainUnreachable):
        chain.block()
