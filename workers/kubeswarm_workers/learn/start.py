"""A learner as it is before the first round: it follows from the base model and the spec."""

import os
from pathlib import Path

import torch

from kubeswarm_api.spec_training import TrainingSpec
from kubeswarm_workers.learn.model import Policy
from kubeswarm_workers.learn.step import Learner


def new_learner(base: Path, training: TrainingSpec, threads: int) -> Learner:
    """`threads`: of this process from now on; the same number gives the same learner, bit for bit, after any round."""
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.use_deterministic_algorithms(True)
    # or each new tensor is first filled with NaN, a search for mistakes that took nearly a fifth of an update
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    policy = Policy(base, training.model.lora, training.seed)
    return Learner(policy, training.algorithm, training.rollout)
