"""Rollouts that were sampled before a checkpoint come out of it as they were, to the last bit."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api.records import NO_DIGEST
from kubeswarm_api.rollouts import Completion, Group, RolloutBatch
from kubeswarm_workers.progress import Samples
from kubeswarm_workers.round import Collected
from kubeswarm_workers.tally import Tally

number = st.floats(-1000, 1000, allow_nan=False)
token = st.tuples(st.integers(0, 1000), st.floats(-50, 0, allow_nan=False))


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    tokens = draw(st.lists(token, min_size=1, max_size=4))
    return Completion(
        tokens=[each for each, _ in tokens],
        logprobs=[each for _, each in tokens],
        reward=draw(number),
        truncated=draw(st.booleans()),
    )


@given(st.lists(st.lists(completions(), min_size=1, max_size=3), max_size=3), number, st.integers(0, 5))
def test_it_survives_a_checkpoint(groups: list[list[Completion]], part: float, lost: int) -> None:
    batch = RolloutBatch(
        swarm_id=NO_DIGEST,
        node_id="0x" + "11" * 20,
        round=3,
        model=NO_DIGEST,
        groups=[
            Group(task="t", item=item, prompt_tokens=[1, 2], completions=group) for item, group in enumerate(groups)
        ],
    )
    scored = sum(map(len, groups))
    tally = Tally(count=scored, reward=part, tokens=7, truncated=1, components={"strict": [part, 3]})
    components = [[{"strict": part} for _ in group] for group in groups]
    before = Collected(batch, scored + lost, {"t": tally}, {"generate": 1.0}, components)
    after = Collected.from_bytes(before.to_bytes())
    assert after == replace(before, seconds={})
    assert after.batch.root() == batch.root()
    samples = after.counted(Samples(produced=4, trained=4))
    assert (samples.pending, samples.dropped.get("score", 0)) == (scored, lost)
