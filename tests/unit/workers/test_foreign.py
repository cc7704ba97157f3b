"""What another Node sends is taken only if it survives being recomputed."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kubeswarm_api.rollouts import Completion, Group, RolloutBatch
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.environments.contract import Score
from kubeswarm_workers.environments.contract import answers as answered
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.learn import foreign
from kubeswarm_workers.learn.foreign import Reading, Rules, Taken
from kubeswarm_workers.text import Text
from tests.unit.workers.conftest import right_answer

SWARM = "0x" + "ab" * 32
ME, OTHER, THIRD = ("0x" + digit * 40 for digit in "123")


@pytest.fixture(scope="module")
def text(characters: Callable[[], Any]) -> Text:
    return Text(characters())


def rules(text: Text, **changes: object) -> Rules:
    standard: dict[str, Any] = {
        "node_id": ME,
        "swarm_id": SWARM,
        "round": 10,
        "max_age": 3,
        "limit": 4,
        "group_size": 4,
        "rollout": Rollout(max_tokens=40),
        "vocabulary": 98,
    }
    return Rules(**{**standard, **changes})


def honest(environment: Split, text: Text, round: int, count: int, node: str = OTHER) -> RolloutBatch:
    """A batch as an honest Node makes it: in each group one right answer and one that is not."""
    groups = []
    for prompt in environment.draw(7, round, count):
        right = right_answer(environment, prompt.task, prompt.item)
        answers = (f"<answer>{right}</answer>", "<answer>zzz</answer>")
        [scores] = environment.score([answered(prompt.task, prompt.item, answers)])
        tokens = [list(text._tokenizer(answer)["input_ids"]) for answer in answers]
        groups.append(
            Group(
                task=prompt.task,
                item=prompt.item,
                prompt_tokens=list(text.encode(prompt.turns)),
                completions=[
                    Completion(tokens=ids, logprobs=[-0.5] * len(ids), reward=score.reward, truncated=False)
                    for ids, score in zip(tokens, scores, strict=True)
                    if isinstance(score, Score)
                ],
            )
        )
    return RolloutBatch(swarm_id=SWARM, node_id=node, round=round, model="0x" + "00" * 32, groups=groups)


def take(
    batches: Sequence[RolloutBatch], rules: Rules, environment: Any, text: Text, before: Reading | None = None
) -> Taken:
    """`foreign.take` of batches whose cursors are 1, 2, ..."""
    return foreign.take(list(enumerate(batches, start=1)), before or Reading(), rules, environment, text)


def changed(batch: RolloutBatch, **changes: object) -> RolloutBatch:
    """The batch with its first group changed."""
    first = batch.groups[0].model_copy(update=changes)
    return batch.model_copy(update={"groups": [first, *batch.groups[1:]]})


def completions(batch: RolloutBatch, **changes: object) -> RolloutBatch:
    """The batch with the first completion of its first group changed."""
    group = batch.groups[0]
    first = group.completions[0].model_copy(update=changes)
    return changed(batch, completions=[first, *group.completions[1:]])


def test_honest_groups_are_taken(spelling: Split, text: Text) -> None:
    batch = honest(spelling, text, 9, 3)
    taken = take([batch], rules(text), spelling, text)
    assert sorted(group.item for group in taken.groups) == sorted(group.item for group in batch.groups)
    assert not taken.dropped
    assert taken.reading == Reading(1, {}, frozenset({(OTHER, 9)}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b.model_copy(update={"swarm_id": "0x" + "cd" * 32}), "membership"),
        (lambda b: b.model_copy(update={"node_id": ME}), "membership"),
        (lambda b: b.model_copy(update={"round": 6}), "window"),
        (lambda b: b.model_copy(update={"round": 14}), "window"),
        (lambda b: changed(b, task="nothing"), "environment"),
        (lambda b: changed(b, item=2_000_000), "environment"),
        (lambda b: changed(b, item=2000), "environment"),  # held out
        (lambda b: changed(b, prompt_tokens=[5, 6, 7]), "environment"),
        (lambda b: changed(b, completions=b.groups[0].completions[:1]), "environment"),
        (lambda b: changed(b, completions=b.groups[0].completions * 3), "environment"),
        (lambda b: completions(b, reward=0.99), "reward"),
        (lambda b: completions(b, reward=math.nan), "reward"),
        (lambda b: completions(b, tokens=[98], logprobs=[-1.0]), "schema"),
        (lambda b: completions(b, tokens=[5, 6], logprobs=[-1.0]), "schema"),
        (lambda b: completions(b, tokens=[5] * 41, logprobs=[-1.0] * 41), "schema"),
        (lambda b: completions(b, tokens=[5], logprobs=[math.nan]), "schema"),
        (lambda b: completions(b, tokens=[5], logprobs=[-math.inf]), "schema"),
        (lambda b: completions(b, tokens=[5], logprobs=[1.0]), "schema"),
        (lambda b: completions(b, tokens=[5], logprobs=[-1.0]), "reward"),
    ],
)
def test_a_lie_is_dropped_for_its_reason(
    spelling: Split, text: Text, change: Callable[[RolloutBatch], RolloutBatch], reason: str
) -> None:
    batch = honest(spelling, text, 9, 1)
    taken = take([change(batch)], rules(text), spelling, text)
    assert taken.groups == []
    assert taken.dropped == {reason: 1}


def test_the_same_round_counts_once(spelling: Split, text: Text) -> None:
    batch = honest(spelling, text, 9, 2)
    taken = take([batch, batch], rules(text), spelling, text)
    assert len(taken.groups) == 2 and taken.dropped == {"duplicate": 2}
    again = foreign.take([(3, batch)], taken.reading, rules(text, round=11), spelling, text)
    assert again.groups == [] and again.dropped == {"duplicate": 2}
    twice = batch.model_copy(update={"groups": [*batch.groups, batch.groups[0]]})
    assert take([twice], rules(text), spelling, text).dropped == {"duplicate": 1}


def test_what_was_seen_is_forgotten_outside_the_window(spelling: Split, text: Text) -> None:
    before = Reading(5, {}, frozenset({(OTHER, 1), (OTHER, 9)}))
    assert take([], rules(text), spelling, text, before).reading == Reading(5, {}, frozenset({(OTHER, 9)}))


def test_what_was_not_taken_waits_and_is_taken_later(spelling: Split, text: Text) -> None:
    batches = [honest(spelling, text, 9, 4, node) for node in (OTHER, THIRD)]
    reading, items, received = Reading(), [], 0
    for round in (10, 11, 12):
        taken = take(batches, rules(text, round=round, limit=3), spelling, text, reading)
        assert not taken.dropped
        reading = taken.reading
        received += taken.received
        items += [(group.task, group.item) for group in taken.groups]
    assert received == 8
    assert sorted(items) == sorted((group.task, group.item) for batch in batches for group in batch.groups)
    assert reading.pending == {} and reading.after == reading.cursor == 2


def test_a_wait_ends_with_the_window(spelling: Split, text: Text) -> None:
    batch = honest(spelling, text, 9, 4)
    first = take([batch], rules(text, limit=1), spelling, text)
    assert first.reading.after == 0 and sum(map(len, first.reading.pending.values())) == 3
    late = take([batch], rules(text, round=13, limit=1), spelling, text, first.reading)
    assert late.groups == [] and late.dropped == {"window": 3} and late.reading.pending == {}


def test_what_waits_is_bounded_and_the_latest(spelling: Split, text: Text) -> None:
    batches = [honest(spelling, text, round, 8, node) for round in (8, 9) for node in (OTHER, THIRD)]
    taken = take(batches, rules(text, limit=2), spelling, text)
    assert taken.dropped == {"queue": 32 - 2 - foreign.KEPT_ROUNDS * 2}
    assert min(taken.reading.pending) >= 3


def test_a_flood_is_not_rescored(spelling: Split, text: Text) -> None:
    class Counting:
        scored = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(spelling, name)

        def score(self, *args: Any) -> Any:
            Counting.scored += 1
            return spelling.score(*args)

    batches = [honest(spelling, text, round, 8, node) for round in (8, 9) for node in (OTHER, THIRD)]
    taken = take(batches, rules(text, limit=3), Counting(), text)
    assert len(taken.groups) == 3
    assert Counting.scored == 3


def test_groups_with_differing_rewards_come_first(spelling: Split, text: Text) -> None:
    batch = honest(spelling, text, 9, 4)
    level = [
        group.model_copy(update={"completions": [group.completions[0], group.completions[0]]})
        for group in batch.groups[:3]
    ]
    mixed = batch.model_copy(update={"groups": [*level, batch.groups[3]]})
    taken = take([mixed], rules(text, limit=1), spelling, text)
    assert [group.item for group in taken.groups] == [batch.groups[3].item]
    assert taken.dropped == {"queue": 3}  # there is nothing to learn from what is level: it does not wait


def test_the_choice_does_not_depend_on_arrival(spelling: Split, text: Text) -> None:
    batches = [honest(spelling, text, 9, 6, node) for node in (OTHER, THIRD)]
    one = take(batches, rules(text, limit=5), spelling, text)
    other = take(batches[::-1], rules(text, limit=5), spelling, text)
    assert one.groups == other.groups
