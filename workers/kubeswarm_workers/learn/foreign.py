"""Which groups of other Nodes an update takes: hostile until prompt and rewards were recomputed here."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kubeswarm_api.rollouts import Group, RolloutBatch
from kubeswarm_workers.environments.contract import Environment, EnvironmentFailed
from kubeswarm_workers.seeds import seed_of
from kubeswarm_workers.text import Text

#: Rewards travel as 32-bit floats.
REWARD_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Rules:
    """What this Node accepts in its round `round`. A batch names the round in which it was sampled."""

    node_id: str
    swarm_id: str
    round: int
    max_age: int
    limit: int
    group_size: int
    max_tokens: int
    vocabulary: int


@dataclass
class Taken:
    """Groups to learn from, groups refused by reason, and the (node, round) pairs that count as seen from now on."""

    groups: list[Group] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[str, int]] = field(default_factory=set)


def take(
    batches: Iterable[RolloutBatch],
    seen: Iterable[tuple[str, int]],
    rules: Rules,
    environment: Environment,
    text: Text,
) -> Taken:
    """At most `rules.limit` groups, those with differing rewards first, then in an order drawn from the round.

    Only as many are rescored as are needed; the rest is dropped for "queue", so that a flood costs nothing.
    """
    result = Taken(seen={pair for pair in seen if abs(pair[1] - rules.round) <= rules.max_age})
    candidates: list[tuple[str, int, Group]] = []
    for batch in batches:
        reason = refuse_batch(batch, result.seen, rules)
        if reason is not None:
            result.dropped[reason] += len(batch.groups)
            continue
        result.seen.add((batch.node_id, batch.round))
        items: set[tuple[str, int]] = set()
        for group in batch.groups:
            if (group.task, group.item) in items:
                result.dropped["duplicate"] += 1
            else:
                items.add((group.task, group.item))
                candidates.append((batch.node_id, batch.round, group))
    candidates.sort(key=lambda each: (_uniform(each[2]), seed_of("foreign", rules.round, *each[:2], *_key(each[2]))))
    for _, _, group in candidates:
        if len(result.groups) == rules.limit:
            result.dropped["queue"] += 1
        elif (reason := refuse_group(group, rules, environment, text)) is not None:
            result.dropped[reason] += 1
        else:
            result.groups.append(group)
    return result


def refuse_batch(batch: RolloutBatch, seen: set[tuple[str, int]], rules: Rules) -> str | None:
    """Why a whole batch is refused, or None."""
    if batch.swarm_id != rules.swarm_id or batch.node_id == rules.node_id:
        return "membership"
    if abs(batch.round - rules.round) > rules.max_age:
        return "window"
    if (batch.node_id, batch.round) in seen:
        return "duplicate"
    return None


def refuse_group(group: Group, rules: Rules, environment: Environment, text: Text) -> str | None:
    """Why a group is refused, or None. Its prompt must be what the environment gives, its rewards what it scores."""
    if not all(_well_formed(each.tokens, each.logprobs, rules) for each in group.completions):
        return "schema"
    if not 2 <= len(group.completions) <= rules.group_size:
        return "environment"
    try:
        prompt = environment.prompt(group.task, group.item)
        if text.encode(prompt.turns) != tuple(group.prompt_tokens):
            return "environment"
        scores = environment.score(group.task, group.item, [text.decode(each.tokens) for each in group.completions])
    except EnvironmentFailed:
        return "environment"
    agree = all(
        abs(score.reward - each.reward) <= REWARD_TOLERANCE
        for score, each in zip(scores, group.completions, strict=True)
    )
    return None if agree else "reward"


def _well_formed(tokens: Sequence[int], logprobs: Sequence[float], rules: Rules) -> bool:
    return (
        0 < len(tokens) <= rules.max_tokens
        and len(tokens) == len(logprobs)
        and all(0 <= token < rules.vocabulary for token in tokens)
        and all(math.isfinite(value) and value <= REWARD_TOLERANCE for value in logprobs)
    )


def _uniform(group: Group) -> bool:
    return len({each.reward for each in group.completions}) == 1


def _key(group: Group) -> tuple[str, int]:
    return group.task, group.item
