"""How much each token counts in the loss, so that loss = - sum of weight x objective over all tokens of a batch.

A weight follows from the whole batch, never from a micro-batch: that is why the loss doesn't depend on how it is cut.
"""

from collections.abc import Sequence

from kubeswarm_api.presets import Aggregation


def token_weights(lengths: Sequence[Sequence[int]], kind: Aggregation, max_tokens: int) -> list[list[float]]:
    """The weight of each token of a completion, in the shape of `lengths` (completions' tokens, group by group).

    token: 1 / all tokens (DAPO: Yu et al., arXiv 2503.14476, over the whole batch).
    sequence: 1 / (completions x own tokens) (GRPO: Shao et al., arXiv 2402.03300): short answers weigh more a token.
    prompt: 1 / (prompts x tokens of the group) (the prompt average of ScaleRL: Khatri et al., arXiv 2510.13786).
    constant: 1 / (completions x max_tokens) (Dr. GRPO: Liu et al., arXiv 2503.20783): the sum over each completion,
    without a bias by length.
    """
    completions = sum(len(group) for group in lengths)
    tokens = sum(sum(group) for group in lengths)
    if kind == "token":
        return [[1 / tokens for _ in group] for group in lengths]
    if kind == "sequence":
        return [[1 / (completions * length) for length in group] for group in lengths]
    if kind == "prompt":
        return [[1 / (len(lengths) * sum(group)) for _ in group] for group in lengths]
    return [[1 / (completions * max_tokens) for _ in group] for group in lengths]
