"""Which groups of other Nodes an update takes: hostile until prompt and rewards were recomputed here."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubeswarm_api.rollouts import Completion, Group, RolloutBatch
from kubeswarm_api.spec_training import Rollout
from kubeswarm_workers.environments.contract import Answers, Environment, EnvironmentFailed, Score, Unscored
from kubeswarm_workers.episode import transcripts
from kubeswarm_workers.seeds import seed_of
from kubeswarm_workers.text import Text

#: Rewards travel as 32-bit floats.
REWARD_TOLERANCE = 1e-4
#: Groups that wait for later rounds at most, in rounds of `Rules.limit`.
KEPT_ROUNDS = 4


@dataclass(frozen=True)
class Rules:
    """What this Node accepts in its round `round`. A batch names the round in which it was sampled."""

    node_id: str
    swarm_id: str
    round: int
    max_age: int
    limit: int
    group_size: int
    rollout: Rollout
    vocabulary: int


@dataclass(frozen=True)
class Reading:
    """How far a Node has read the exchange.

    `cursor`: up to where every batch was looked at once. `pending`: groups that wait for a later round, as their
    places in the batch, by the batch's cursor. `seen`: the (node, round) pairs that have come, within the window.
    """

    cursor: int = 0
    pending: dict[int, tuple[int, ...]] = field(default_factory=dict)
    seen: frozenset[tuple[str, int]] = frozenset()

    @property
    def after(self) -> int:
        """The cursor above which batches are needed again."""
        return min(self.pending, default=self.cursor + 1) - 1


@dataclass
class Taken:
    """Groups to learn from, groups refused by reason, how many came for the first time, and the reading after it.

    `sources`: the (node, round) that sampled each group.
    """

    reading: Reading
    groups: list[Group] = field(default_factory=list)
    sources: list[tuple[str, int]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    received: int = 0


@dataclass(frozen=True)
class _Candidate:
    cursor: int
    index: int
    node_id: str
    round: int
    group: Group

    def rank(self, round: int) -> tuple[bool, int]:
        """Groups with differing rewards first, else in an order drawn from the round."""
        drawn = seed_of("foreign", round, self.node_id, self.round, self.group.task, self.group.item)
        return self.uniform, drawn

    @property
    def uniform(self) -> bool:
        """Whether all rewards are the same, so that there is nothing to learn from."""
        return len({each.reward for each in self.group.completions}) == 1


def take(
    arrived: Sequence[tuple[int, RolloutBatch]], before: Reading, rules: Rules, environment: Environment, text: Text
) -> Taken:
    """At most `rules.limit` groups of `arrived`: all batches by their cursors, from `before.after` on.

    Only as many are rescored as are needed, so that a flood costs nothing. Of the others those that could teach
    something wait, the latest KEPT_ROUNDS rounds' worth of them; the rest is dropped for "queue".
    """
    dropped: Counter[str] = Counter()
    seen = {pair for pair in before.seen if abs(pair[1] - rules.round) <= rules.max_age}
    candidates: list[_Candidate] = []
    received = 0
    for cursor, batch in arrived:
        if cursor > before.cursor:
            received += len(batch.groups)
            indices = _unseen(batch, seen, rules, dropped)
        else:
            indices = before.pending.get(cursor, ())
            if indices and not _in_window(batch, rules):
                dropped["window"] += len(indices)
                indices = ()
        candidates += [_Candidate(cursor, at, batch.node_id, batch.round, batch.groups[at]) for at in indices]
    candidates.sort(key=lambda each: each.rank(rules.round))
    chosen: list[_Candidate] = []
    left: list[_Candidate] = []
    for each in candidates:
        if len(chosen) == rules.limit:
            left.append(each)
        elif (reason := refuse_group(each.group, rules, environment, text)) is not None:
            dropped[reason] += 1
        else:
            chosen.append(each)
    pending = _latest([each for each in left if not each.uniform], KEPT_ROUNDS * rules.limit)
    dropped["queue"] += len(left) - sum(map(len, pending.values()))
    cursor = max([before.cursor, *(cursor for cursor, _ in arrived)])
    groups, sources = [each.group for each in chosen], [(each.node_id, each.round) for each in chosen]
    return Taken(Reading(cursor, pending, frozenset(seen)), groups, sources, +dropped, received)


def _unseen(batch: RolloutBatch, seen: set[tuple[str, int]], rules: Rules, dropped: Counter[str]) -> Sequence[int]:
    """The groups of a new batch that are worth a look, each item once; the others are counted as dropped."""
    reason = refuse_batch(batch, seen, rules)
    if reason is not None:
        dropped[reason] += len(batch.groups)
        return ()
    seen.add((batch.node_id, batch.round))
    first = {(group.task, group.item): at for at, group in reversed(list(enumerate(batch.groups)))}
    dropped["duplicate"] += len(batch.groups) - len(first)
    return sorted(first.values())


def _latest(candidates: Sequence[_Candidate], count: int) -> dict[int, tuple[int, ...]]:
    pending: dict[int, tuple[int, ...]] = {}
    for each in sorted(candidates, key=lambda each: (-each.cursor, each.index))[:count]:
        pending[each.cursor] = (*pending.get(each.cursor, ()), each.index)
    return pending


def refuse_batch(batch: RolloutBatch, seen: set[tuple[str, int]], rules: Rules) -> str | None:
    """Why a whole batch is refused, or None."""
    if batch.swarm_id != rules.swarm_id or batch.node_id == rules.node_id:
        return "membership"
    if not _in_window(batch, rules):
        return "window"
    if (batch.node_id, batch.round) in seen:
        return "duplicate"
    return None


def refuse_group(group: Group, rules: Rules, environment: Environment, text: Text) -> str | None:
    """Why a group is refused, or None. Its prompt must be what the environment gives, its rewards what it scores."""
    if not all(_well_formed(each, rules) for each in group.completions):
        return "schema"
    if not 2 <= len(group.completions) <= rules.group_size:
        return "environment"
    try:
        prompt = environment.prompt(group.task, group.item)
        if text.encode(prompt.turns) != tuple(group.prompt_tokens):
            return "environment"
        found = transcripts(group, environment, text)
        if found is None:
            return "environment"
        [scores] = environment.score([Answers(group.task, group.item, tuple(found))])
    except EnvironmentFailed:
        return "environment"
    if any(isinstance(score, Unscored) for score in scores):
        return "environment"
    agree = all(
        isinstance(score, Score) and abs(score.reward - each.reward) <= REWARD_TOLERANCE
        for score, each in zip(scores, group.completions, strict=True)
    )
    return None if agree else "reward"


def _well_formed(completion: Completion, rules: Rules) -> bool:
    bounds = [0, *completion.given, len(completion.tokens)]
    answers = [end - first for first, end in zip(bounds[::2], bounds[1::2], strict=True)]
    return (
        len(answers) <= rules.rollout.max_turns
        and all(0 < length <= rules.rollout.max_tokens for length in answers)
        and len(completion.tokens) == len(completion.logprobs)
        and all(0 <= token < rules.vocabulary for token in completion.tokens)
        and all(math.isfinite(value) and value <= REWARD_TOLERANCE for value in completion.logprobs)
    )


def _in_window(batch: RolloutBatch, rules: Rules) -> bool:
    return abs(batch.round - rules.round) <= rules.max_age
