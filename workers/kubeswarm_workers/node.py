"""The parts of one Node's trainer, put together: what a round works with."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from kubeswarm_api.changes import changed_fields
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_api.records import Address
from kubeswarm_workers import config as configuration
from kubeswarm_workers.environments.contract import Environment
from kubeswarm_workers.learn.step import Learner
from kubeswarm_workers.ports import Exchange, Notary
from kubeswarm_workers.report import Report
from kubeswarm_workers.rollout.pool import Pool, Weights
from kubeswarm_workers.rollout.sampling import EngineSpec
from kubeswarm_workers.text import Text
from kubeswarm_workers.weights import Snapshot

log = logging.getLogger(__name__)
NO_ADDRESS: Address = "0x" + "00" * 20
STOP = "</answer>"
#: Tokens of a prompt, and of what the environment says after it, at most, where the model allows more.
MAX_PROMPT = 2048
#: Completions that one engine works on at a time; with the context it says how large its cache is.
MAX_SEQUENCES = 256
#: Mean gap of the probe's log-probabilities between learner and engine at most, by the policy's type and device: 0.05
#: is usual in bfloat16, 6e-6 in float32 on a CPU, 2e-3 on a GPU, by TF32 it seems; 0.5 and more is a stale weight.
PROBE_TOLERANCE = {
    ("bfloat16", "cpu"): 0.2,
    ("bfloat16", "cuda"): 0.2,
    ("float32", "cpu"): 1e-3,
    ("float32", "cuda"): 1e-2,
}
#: Completions a held-out item: one alone is too noisy to compare two rounds by.
HELD_OUT_SAMPLES = 4


@dataclass
class Node:
    """One participant's parts.

    `context`: tokens of a prompt with its completion at most. `policy`: the learner's, after its last update.
    """

    config: NodeConfig
    environment: Environment
    text: Text
    learner: Learner
    pool: Pool
    context: int
    report: Report
    policy: Snapshot
    probe: tuple[int, ...]
    notary: Notary | None
    exchange: Exchange | None
    stopping: Callable[[], bool]
    refused: Counter[str] = field(default_factory=Counter)  # what the exchange had refused when it was last asked
    _probing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "probe"))

    @property
    def node_id(self) -> Address:
        """The identity on chain; the zero address without one."""
        return self.notary.node_id if self.notary else NO_ADDRESS

    def follow(self, fresh: NodeConfig) -> None:
        """Takes over what may change between two rounds: rollout pods, learning rate, sharing."""
        config = self.config.following(fresh)
        if config != self.config:
            changed = changed_fields(self.config, config, "config")
            log.info("the configuration has changed", extra={"fields": changed})
            self.config = config
        self.learner.set_learning_rate(config.training.algorithm.learning_rate)
        self.pool.resize(configuration.engines(config))

    def sync(self) -> None:
        """Brings the engines to the learner's policy, with proof. Raises what Pool.sync does."""
        self.pool.sync(self.weights())

    def weights(self) -> Weights:
        """The learner's policy as it is now, for the engines. No update may begin before they have it."""
        probe = list(self.probe)
        logprobs = self._probing.submit(self.learner.sequence_logprobs, probe)
        tolerance = PROBE_TOLERANCE[dtype(self.learner), self.learner.policy.device.type]
        return Weights(self.policy.digest, self.policy.tensors, probe, logprobs.result, tolerance)


def dtype(learner: Learner) -> str:
    """The name of the engines' type."""
    return str(learner.policy.dtype).removeprefix("torch.")


def engine_spec(config: NodeConfig, learner: Learner) -> EngineSpec:
    """What the engines are started with."""
    training = config.training
    return EngineSpec(
        model=config.model_dir,
        dtype=dtype(learner),
        context=min(learner.policy.context, MAX_PROMPT + training.rollout.max_episode_tokens),
        sequences=min(MAX_SEQUENCES, training.algorithm.prompts * training.algorithm.group_size),
        max_tokens=training.rollout.max_tokens,
        temperature=training.rollout.temperature,
        stop=STOP,
    )
