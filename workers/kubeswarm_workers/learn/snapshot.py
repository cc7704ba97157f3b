"""The learner's whole state as tensors and JSON, and back: model, optimiser, random states. No pickle."""

import random
from typing import Any

import numpy as np
import torch

from kubeswarm_workers.learn.step import Learner

Tensors = dict[str, dict[str, torch.Tensor]]


def take(learner: Learner) -> tuple[Tensors, dict[str, Any]]:
    """(tensors by file, JSON). What an update does not change (a frozen base model) is left out."""
    trainable = learner.policy.trainable()
    optimizer = {
        f"{name}/{key}": value
        for name, parameter in trainable.items()
        for key, value in learner.optimizer.state.get(parameter, {}).items()
    }
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, gauss_next = random.getstate()
    randomness = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
    state = {
        "numpy": [str(kind), int(position), int(has_gauss), float(gauss)],
        "python": [version, list(internal), gauss_next],
    }
    return {"model": dict(trainable), "optimizer": optimizer, "random": randomness}, state


@torch.no_grad()
def restore(learner: Learner, tensors: Tensors, state: dict[str, Any]) -> None:
    """The inverse of `take`. Raises KeyError or ValueError if the tensors are those of another model."""
    trainable = learner.policy.trainable()
    if trainable.keys() != tensors["model"].keys():
        raise ValueError("the checkpoint is of another model or adapter: start a new Swarm, or remove it")
    for name, parameter in trainable.items():
        parameter.copy_(tensors["model"][name])
        entries = {
            key.removeprefix(f"{name}/"): value
            for key, value in tensors["optimizer"].items()
            if key.rpartition("/")[0] == name
        }
        if entries:
            learner.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in entries.items()
            }
    torch.set_rng_state(tensors["random"]["torch"])
    kind, position, has_gauss, gauss = state["numpy"]
    keys = tensors["random"]["numpy"].numpy().astype(np.uint32)
    np.random.set_state((kind, keys, position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
