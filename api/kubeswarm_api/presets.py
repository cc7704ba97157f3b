"""Policy-gradient algorithms by name: each is a choice for a few parts that don't depend on one another.

What the parts compute is in advantages, aggregation and kubeswarm_workers.learn.loss; a name means this table alone.
"""

from dataclasses import dataclass
from typing import Literal

Preset = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce"]
Baseline = Literal["group", "leaveOneOut", "batch", "none"]
Scale = Literal["none", "group", "batch"]
Level = Literal["token", "sequence"]
Surrogate = Literal["clip", "cispo", "unclipped"]
Aggregation = Literal["token", "sequence", "constant", "prompt"]
CorrectionKind = Literal["none", "tis", "mis", "icepop", "clip"]
KlEstimator = Literal["k3", "unbiased"]


@dataclass(frozen=True)
class Choices:
    """One choice a part. Bounds that the surrogate has no use for are ignored."""

    baseline: Baseline
    scale: Scale
    ratio: Level
    surrogate: Surrogate
    aggregation: Aggregation
    clip_low: float = 0.2
    clip_high: float = 0.2
    drop_zero_variance: bool = False
    correction: CorrectionKind = "tis"
    level: Level = "token"
    cap: float = 2.0
    floor: float = 0.0


#: Sources, in order: Shao et al., arXiv 2402.03300, with the token mean of DAPO and without the division by the
#: standard deviation and without the KL term, as Liu et al. advise; Liu et al., arXiv 2503.20783; Yu et al., arXiv
#: 2503.14476 (its shaping of overlong rewards belongs to the environment); Zheng et al., arXiv 2507.18071, eq. 5 and
#: section 5.1; Chen et al., arXiv 2506.13585, as ScaleRL sets it (Khatri et al., arXiv 2510.13786: ratio to the
#: generator, cut at 5, prompt average, batch normalisation, zero-variance filter); Ahmadian et al., arXiv 2402.14740;
#: Williams, Machine Learning 8 (1992), with the batch's mean as baseline.
PRESETS: dict[Preset, Choices] = {
    "grpo": Choices("group", "none", "token", "clip", "token"),
    "dr_grpo": Choices("group", "none", "token", "clip", "constant"),
    "dapo": Choices("group", "group", "token", "clip", "token", clip_high=0.28, drop_zero_variance=True),
    "gspo": Choices("group", "group", "sequence", "clip", "sequence", clip_low=3e-4, clip_high=4e-4),
    "cispo": Choices(
        "group", "batch", "token", "cispo", "prompt", clip_high=4.0, drop_zero_variance=True, correction="clip"
    ),
    "rloo": Choices("leaveOneOut", "none", "token", "unclipped", "constant"),
    "reinforce": Choices("batch", "none", "token", "unclipped", "constant"),
}

#: (floor, cap) of each correction. TIS: Yao et al. (2025), cap 2; IcePop: 0.5 to 5; two-sided clip: 4 (INTELLECT-2).
BOUNDS: dict[CorrectionKind, tuple[float, float]] = {
    "none": (0.0, float("inf")),
    "tis": (0.0, 2.0),
    "mis": (0.0, 2.0),
    "icepop": (0.5, 5.0),
    "clip": (0.0, 4.0),
}


def described() -> str:
    """The table in words, for `kubectl explain`."""
    return "; ".join(f"{name}: {_sentence(choices)}" for name, choices in PRESETS.items())


def _sentence(choices: Choices) -> str:
    bounds = {
        "clip": f" {choices.clip_low:g}/{choices.clip_high:g}",
        "cispo": f" up to {1 + choices.clip_high:g}",
        "unclipped": "",
    }
    parts = [
        f"baseline {choices.baseline}",
        f"scale {choices.scale}",
        f"{choices.ratio} ratio",
        f"{choices.surrogate}{bounds[choices.surrogate]}",
        f"{choices.aggregation} mean" if choices.aggregation != "constant" else "constant normaliser",
        f"correction {choices.correction}",
    ]
    return ", ".join([*parts, "zero-variance filter"] if choices.drop_zero_variance else parts)
