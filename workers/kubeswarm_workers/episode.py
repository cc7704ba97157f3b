"""Episodes: an answer, or answers with the environment's turns between them, as one stretch of tokens.

What the environment says becomes tokens behind the sampled ones, which are never tokenised again: the policy learns
from exactly what it said, and the sampler's log-probabilities stay those of these tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kubeswarm_api.rollouts import Completion, Group, sampled
from kubeswarm_workers.environments.contract import Answers, Environment, Transcript, Turn, Unscored
from kubeswarm_workers.text import Text


@dataclass(frozen=True)
class Episode:
    """Tokens and log-probabilities, shape (T,), where those `given` by the environment are and from where on another
    policy sampled (see rollouts.Completion), and the same as text. `failed`: why it could not go on; then it has no
    score."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    truncated: bool
    transcript: Transcript
    given: tuple[int, ...] = ()
    switched_at: int | None = None
    failed: Unscored | None = None

    @property
    def sampled(self) -> int:
        """Tokens that the policy sampled."""
        return sum(sampled(len(self.tokens), self.given))

    def answered(self, turns: Sequence[Turn], between: Sequence[int], answer: "Episode") -> "Episode":
        """With the environment's `turns`, their tokens, and the next answer behind it."""
        first, end = len(self.tokens), len(self.tokens) + len(between)
        later = None if answer.switched_at is None else end + answer.switched_at
        return Episode(
            tokens=(*self.tokens, *between, *answer.tokens),
            logprobs=(*self.logprobs, *(0.0 for _ in between), *answer.logprobs),
            truncated=answer.truncated,
            transcript=(*self.transcript, *turns, *answer.transcript),
            given=(*self.given, first, end),
            switched_at=later if self.switched_at is None else self.switched_at,
        )


def transcripts(group: Group, environment: Environment, text: Text) -> list[Transcript] | None:
    """The completions of another Node's group as text; None if the environment did not say what stands in them."""
    found: list[Transcript] = []
    for completion in group.completions:
        transcript = _transcript(group, completion, environment, text)
        if transcript is None:
            return None
        found.append(transcript)
    return found


def _transcript(group: Group, completion: Completion, environment: Environment, text: Text) -> Transcript | None:
    bounds = [0, *completion.given, len(completion.tokens)]
    transcript: Transcript = (Turn("assistant", text.decode(completion.tokens[: bounds[1]])),)
    for first, end, last in zip(bounds[1::2], bounds[2::2], bounds[3::2], strict=False):
        [[turns]] = environment.step([Answers(group.task, group.item, (transcript,))])
        if isinstance(turns, Unscored) or not turns:
            return None
        if list(text.between(completion.tokens[:first], turns)) != completion.tokens[first:end]:
            return None
        transcript = (*transcript, *turns, Turn("assistant", text.decode(completion.tokens[end:last])))
    return transcript
