"""Every metric that KubeSwarm exports: one table for the code, the dashboard and the reference."""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass(frozen=True)
class Metric:
    """A Prometheus metric. Counters' names end in _total; units are base units (seconds, bytes)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


# --- trainer ------------------------------------------------------------------------------------------------
ROUNDS = Metric("kubeswarm_trainer_rounds_total", "counter", "Rounds finished since this process started.")
ROUND = Metric("kubeswarm_trainer_round", "gauge", "The last finished round.")
TARGET_ROUNDS = Metric("kubeswarm_trainer_target_rounds", "gauge", "Rounds that the spec asks for.")
REWARD = Metric("kubeswarm_trainer_reward", "gauge", "Mean reward of the last round's own completions.", ("task",))
REWARD_COMPONENT = Metric(
    "kubeswarm_trainer_reward_component",
    "gauge",
    "Mean of a named part of the last round's rewards: strict is 1 for a right answer, format for a well-formed one.",
    ("task", "component"),
)
COMPLETION_TOKENS = Metric(
    "kubeswarm_trainer_completion_tokens", "gauge", "Mean length of the last round's own completions.", ("task",)
)
TRUNCATED = Metric(
    "kubeswarm_trainer_truncated_share",
    "gauge",
    "Share of the last round's own completions that ended at the token limit.",
    ("task",),
)
MALFORMED = Metric(
    "kubeswarm_trainer_malformed_share",
    "gauge",
    "Share of the last round's own completions that were not well formed, where the environment says so.",
    ("task",),
)
REWARD_GAMED = Metric(
    "kubeswarm_trainer_reward_gamed",
    "gauge",
    "1 while a task's mean reward has risen and its share of right answers (strict) has not risen with it.",
    ("task",),
)
TASK_EMPHASIS = Metric(
    "kubeswarm_trainer_task_emphasis",
    "gauge",
    "By how much the curriculum changes a task's weight: 1 where it is right half of the time.",
    ("task",),
)
ENVIRONMENT_FAILURES = Metric(
    "kubeswarm_trainer_environment_failures_total",
    "counter",
    "Completions that the environment could not score, by reason; they are dropped, never given 0.",
    ("reason",),
)
HELD_OUT_REWARD = Metric("kubeswarm_trainer_held_out_reward", "gauge", "Mean reward on the held-out set.")
HELD_OUT_EXACT = Metric("kubeswarm_trainer_held_out_exact", "gauge", "Share of the held-out set answered exactly.")
HELD_OUT_ERROR = Metric(
    "kubeswarm_trainer_held_out_error",
    "gauge",
    "Half the width of the 95 % interval of a held-out mean.",
    ("of",),
)
LOSS = Metric("kubeswarm_trainer_loss", "gauge", "Loss of the last update.")
GRAD_NORM = Metric("kubeswarm_trainer_grad_norm", "gauge", "Gradient norm of the last update, before clipping.")
LOGPROB_GAP = Metric(
    "kubeswarm_trainer_logprob_gap",
    "gauge",
    "Mean absolute difference of log-probabilities, learner minus sampler.",
    ("origin",),
)
LEARNING_RATE = Metric("kubeswarm_trainer_learning_rate", "gauge", "Learning rate of the last update.")
MISMATCH_KL = Metric(
    "kubeswarm_trainer_mismatch_kl",
    "gauge",
    "Divergence of the sampler from the learner, a token, by origin and estimator (k1, k3).",
    ("origin", "estimator"),
)
MISMATCH_RATIO = Metric(
    "kubeswarm_trainer_mismatch_ratio",
    "gauge",
    "Learner's over sampler's probability of a token, by origin and quantile (0.5, 0.99, 1).",
    ("origin", "quantile"),
)
BOUNDED = Metric(
    "kubeswarm_trainer_bounded_share",
    "gauge",
    "Share of tokens that a bound acted on: clip (of the policy ratio), cap or mask (of the importance weight).",
    ("origin", "bound"),
)
EFFECTIVE_SAMPLES = Metric(
    "kubeswarm_trainer_effective_sample_share",
    "gauge",
    "Effective sample size under the importance weights, as a share of the tokens.",
    ("origin",),
)
REFERENCE_KL = Metric(
    "kubeswarm_trainer_reference_kl", "gauge", "Divergence of the policy from the base model, a token (k3)."
)
SAMPLES_PRODUCED = Metric("kubeswarm_trainer_samples_produced_total", "counter", "Completions sampled by this Node.")
SAMPLES_TRAINED = Metric(
    "kubeswarm_trainer_samples_trained_total", "counter", "Completions used in updates.", ("origin",)
)
SAMPLES_DROPPED = Metric(
    "kubeswarm_trainer_samples_dropped_total", "counter", "Completions not used, by reason.", ("reason",)
)
SAMPLES_PENDING = Metric(
    "kubeswarm_trainer_samples_pending", "gauge", "Completions sampled and not yet used or dropped."
)
TOKENS = Metric("kubeswarm_trainer_tokens_total", "counter", "Tokens sampled by this Node.")
PHASE_SECONDS = Metric("kubeswarm_trainer_phase_seconds", "histogram", "Seconds of each part of a round.", ("phase",))
ROLLOUT_WAIT = Metric(
    "kubeswarm_trainer_rollout_wait_share",
    "gauge",
    "Share of the last round in which the learner waited for rollouts: what more rollout pods can save.",
)
WEIGHT_SYNCS = Metric(
    "kubeswarm_trainer_weight_syncs_total",
    "counter",
    "Weight transfers to the engines, by result.",
    ("result",),
)
CHECKPOINT_BYTES = Metric("kubeswarm_trainer_checkpoint_bytes", "gauge", "Size of the last checkpoint.")
# --- exchange -----------------------------------------------------------------------------------------------
EXCHANGE_CONNECTED = Metric("kubeswarm_exchange_connected", "gauge", "1 while connected to the exchange.")
BATCHES_PUBLISHED = Metric("kubeswarm_exchange_batches_published_total", "counter", "Batches published.")
GROUPS_RECEIVED = Metric("kubeswarm_exchange_groups_received_total", "counter", "Foreign groups received.")
GROUPS_TAKEN = Metric("kubeswarm_exchange_groups_taken_total", "counter", "Foreign groups used in updates.")
GROUPS_DROPPED = Metric(
    "kubeswarm_exchange_groups_dropped_total", "counter", "Foreign groups not used, by reason.", ("reason",)
)
# --- rollout ------------------------------------------------------------------------------------------------
ENGINE_READY = Metric("kubeswarm_rollout_engine_ready", "gauge", "1 while this process's engine answers.")
ENGINE_TOKENS = Metric("kubeswarm_rollout_tokens_total", "counter", "Tokens generated by this engine.")
ENGINE_SECONDS = Metric("kubeswarm_rollout_generate_seconds", "histogram", "Seconds of one call to generate.")
# --- attestor -----------------------------------------------------------------------------------------------
SPOOLED_ROUNDS = Metric("kubeswarm_attestor_spooled_rounds", "gauge", "Rounds in the spool.")
PENDING_ROUNDS = Metric("kubeswarm_attestor_pending_rounds", "gauge", "Rounds in the spool that are not on the chain.")
PENDING_SECONDS = Metric(
    "kubeswarm_attestor_pending_seconds", "gauge", "Age of the oldest round in the spool that is not on the chain."
)
SPOOL_ROOM = Metric(
    "kubeswarm_attestor_spool_room_records", "gauge", "Records for which the Node's volume still has room."
)
ATTESTED_ROUNDS = Metric("kubeswarm_attestor_attested_rounds", "gauge", "Rounds on the chain.")
ATTESTATIONS = Metric(
    "kubeswarm_attestor_attestations_total", "counter", "Attestations sent by this process and included."
)
ATTESTOR_GAS = Metric("kubeswarm_attestor_gas_used_total", "counter", "Gas of this process's included transactions.")
ATTESTOR_BALANCE = Metric("kubeswarm_attestor_balance_ether", "gauge", "Balance of the Node's key.")
ATTESTOR_ERRORS = Metric("kubeswarm_attestor_errors_total", "counter", "Failed attempts, by reason.", ("reason",))
SIGNATURES = Metric("kubeswarm_attestor_signatures_total", "counter", "Batches signed for the trainer.")
# --- operator -----------------------------------------------------------------------------------------------
RECONCILES = Metric("kubeswarm_operator_reconciles_total", "counter", "Passes, by kind and result.", ("kind", "result"))
RECONCILE_SECONDS = Metric("kubeswarm_operator_reconcile_seconds", "histogram", "Seconds of a pass.", ("kind",))
QUEUE_DEPTH = Metric("kubeswarm_operator_queue_depth", "gauge", "Keys waiting for a pass.", ("kind",))
API_REQUESTS = Metric(
    "kubeswarm_operator_api_requests_total",
    "counter",
    "Requests to the Kubernetes API, by verb, resource and code.",
    ("verb", "resource", "code"),
)
WATCH_AGE = Metric(
    "kubeswarm_operator_watch_age_seconds", "gauge", "Seconds since the last event of a watch.", ("resource",)
)
LEADER = Metric("kubeswarm_operator_leader", "gauge", "1 while this replica holds the Lease.")
SWARMS = Metric("kubeswarm_operator_swarms", "gauge", "Swarms, by whether they are Ready.", ("ready",))
NODES = Metric("kubeswarm_operator_nodes", "gauge", "Nodes, by whether they are Ready.", ("ready",))
# --- indexer ------------------------------------------------------------------------------------------------
INDEXER_HEAD = Metric("kubeswarm_indexer_head_block", "gauge", "The block up to which the log of runs is complete.")
INDEXER_LAG = Metric("kubeswarm_indexer_lag_blocks", "gauge", "Blocks that the chain is ahead of the log.")
INDEXER_FACTS = Metric("kubeswarm_indexer_facts_total", "counter", "Events taken into the log by this process.")
INDEXER_REORGANISATIONS = Metric(
    "kubeswarm_indexer_reorganisations_total", "counter", "Times that the log followed the chain back."
)
INDEXER_REORGANISATION_DEPTH = Metric(
    "kubeswarm_indexer_reorganisation_depth_blocks", "gauge", "Blocks that the last reorganisation took back."
)
INDEXER_FAILURES = Metric(
    "kubeswarm_indexer_failures_total", "counter", "Looks at the chain or writes that failed, by reason.", ("reason",)
)
INDEXER_REQUEST_SECONDS = Metric(
    "kubeswarm_indexer_request_seconds",
    "histogram",
    "Seconds of an answer of the log's HTTP API.",
    ("route", "status"),
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
