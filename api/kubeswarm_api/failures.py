"""What each reason of a failure means, and the next step: one table for conditions, command line and docs."""

from dataclasses import dataclass

from kubeswarm_api.conditions import Reason


@dataclass(frozen=True)
class Failure:
    """A failure as a person meets it."""

    meaning: str
    remedy: str  # what to do next: messages end with it


FAILURES: dict[Reason, Failure] = {
    # --- what was asked for
    Reason.INVALID_SPEC: Failure(
        "The stored spec isn't one that this version of the operator understands.",
        "correct the field that the message names",
    ),
    Reason.NAME_TAKEN: Failure(
        "An object of the name that is needed exists and belongs to somebody else.",
        "delete or rename it, or rename the Swarm",
    ),
    Reason.SWARM_NOT_FOUND: Failure(
        "The Node's spec.swarm.name is no Swarm of its namespace.",
        "create it, or use spec.swarm.join for one elsewhere",
    ),
    Reason.SECRET_NOT_FOUND: Failure(
        "A Secret that the spec or the pod template names isn't in the namespace.",
        "create it with the keys that are asked for (the exchange's credentials come from the Swarm's owner), or "
        "correct its name in the spec",
    ),
    Reason.CONFIG_MAP_NOT_FOUND: Failure(
        "A ConfigMap with the environment's code or data, or of the pod template, isn't in the namespace.",
        "create it, or correct its name in spec.environment or spec.template",
    ),
    Reason.CLAIM_NOT_FOUND: Failure(
        "A PersistentVolumeClaim that the spec or the pod template names isn't in the namespace.",
        "create it, or make a Node with another model or without that volume",
    ),
    Reason.CLAIM_PENDING: Failure(
        "A claim has no volume.",
        "see `kubectl describe pvc`; set spec.storage.storageClassName to a class with a provisioner, or provide a "
        "volume",
    ),
    Reason.CLAIM_LOST: Failure(
        "The volume behind a claim is gone.",
        "restore the volume, or delete the Node to start from the base model",
    ),
    Reason.MODEL_NOT_FOUND: Failure(
        "The base model isn't where spec.model says.",
        "put the model there, or correct spec.model in a new Swarm",
    ),
    # --- pods that aren't made or don't start
    Reason.QUOTA_EXCEEDED: Failure(
        "The namespace's ResourceQuota leaves no room for an object or a pod.",
        "raise the namespace's ResourceQuota, or lower the requests in spec.template",
    ),
    Reason.ADMISSION_DENIED: Failure(
        "A webhook or an admission policy of the cluster refuses an object or a pod, or can't be asked.",
        "change spec.template as it asks, or mend or change the webhook or policy that refuses it",
    ),
    Reason.POD_REFUSED: Failure(
        "The API server refuses a pod, mostly by the namespace's pod security standard.",
        "remove what the namespace's pod security standard, or another rule that the message names, forbids from "
        "spec.template",
    ),
    Reason.API_REFUSED: Failure(
        "The API server refuses an object for what is in it.",
        "change the spec field that it was made from",
    ),
    Reason.DEFINITION_OUTDATED: Failure(
        "A CustomResourceDefinition is older than the operator, and lacks a field that it writes.",
        "apply the definitions of the operator's own chart: `helm upgrade` with crds.install=true, or `kubectl apply "
        "--server-side` on its files/crds",
    ),
    Reason.FORBIDDEN: Failure(
        "The operator lacks a right.",
        "install the chart of the operator's own version, and leave the roles as it makes them",
    ),
    Reason.UNSCHEDULABLE: Failure(
        "No machine fits a pod; the message says what is missing.",
        "add such machines or free them, or change requests, nodeSelector or tolerations in spec.template",
    ),
    Reason.SCHEDULING_GATED: Failure(
        "A pod is held back by scheduling gates, mostly those of a queue that has no quota left for it.",
        "have the gate lifted: Kueue does so when there is quota, and `kubectl describe workloads` says what it waits "
        "for",
    ),
    Reason.IMAGE_PULL_FAILED: Failure(
        "The image of a container or of the model can't be pulled.",
        "check the names of the worker and model images, the registry and the pull secrets",
    ),
    Reason.CONTAINER_CONFIG_ERROR: Failure(
        "A container can't be started: a volume isn't mounted, or something that it refers to is wrong.",
        "make what it names, or correct spec.template",
    ),
    Reason.POD_NOT_READY: Failure(
        "A pod isn't ready and nothing is known to be wrong with it, or it failed and is replaced.",
        "wait; if it repeats, change its requests and limits in spec.template",
    ),
    Reason.NODE_LOST: Failure(
        "The machine of a pod doesn't answer.",
        "see `kubectl get nodes`; the pod is replaced once the machine is back or gone: `kubectl delete node` says "
        "that it is gone for good",
    ),
    # --- containers that end
    Reason.CRASH_LOOP: Failure(
        "A container ends again and again, of no cause that is known.",
        "see its last lines in the message, and `kubectl logs --previous`",
    ),
    Reason.OUT_OF_MEMORY: Failure(
        "A container, its GPU or its machine ran out of memory.",
        "raise the container's memory limit in spec.template, or lower algorithm.tokensPerMicroBatch or "
        "algorithm.prompts",
    ),
    Reason.VOLUME_FULL: Failure(
        "A disk is full: the Node's claim, an emptyDir or the machine's own.",
        "raise spec.storage.size (the storage class must allow expansion) or lower spec.storage.keep; for a disk of "
        "the machine set the limits in spec.template",
    ),
    Reason.CHECKPOINT_DAMAGED: Failure(
        "A checkpoint on the Node's volume is missing or corrupt.",
        "remove the damaged checkpoint from the Node's volume (the one before it is used then), or delete the Node "
        "to start from the base model",
    ),
    Reason.LOSS_NOT_FINITE: Failure(
        "The loss or its gradient is NaN or infinite.",
        "lower algorithm.learningRate or algorithm.maxGradNorm; it goes on from the last finished round",
    ),
    Reason.ENVIRONMENT_FAILED: Failure(
        "The environment can't be started, or fails to score.",
        "correct spec.environment; its own log lines tell more",
    ),
    Reason.TRAINER_FAILED: Failure(
        "The trainer says that it has failed, of no cause that is known.",
        "see its message and its log",
    ),
    # --- what is around
    Reason.REWARD_GAMED: Failure(
        "A task's reward has risen and the share of right answers has not: the model learns what the scorer pays for. "
        "Training goes on.",
        "read `kubeswarm rollouts --best`, then pay for less: spec.environment's scorer or weights, from an earlier "
        "checkpoint",
    ),
    Reason.CHAIN_UNREACHABLE: Failure(
        "The chain doesn't answer. Training goes on; rounds wait in the spool and are attested later.",
        "start the chain, or correct chain.url of the chart",
    ),
    Reason.CHAIN_REJECTED: Failure(
        "The chain answers and refuses: another chain, no contracts on it, or a wrong account.",
        "correct chain.chainId, chain.deployment or chain.accountSecret of the chart",
    ),
    Reason.CHAIN_RESET: Failure(
        "The chain has fewer rounds of a finished Node than were attested before: it was made anew, or is another one.",
        "point chain.url at the chain that has them; on a development chain the rounds are gone",
    ),
    Reason.KEY_UNFUNDED: Failure(
        "A Node's key has no money for gas.",
        "fund the operator's account, or raise chain.funding.dailyBudget of the chart",
    ),
    Reason.FEE_ABOVE_CAP: Failure(
        "Gas costs more than the cap: what is due waits in the spool.",
        "wait for it to fall, or raise chain.gas of the chart",
    ),
    Reason.SIGNER_UNREACHABLE: Failure(
        "The external signer that holds a Node's key doesn't answer.",
        "start it, or correct where it is looked for; rounds wait in the spool meanwhile",
    ),
    Reason.SPOOL_FILLING: Failure(
        "Many rounds wait for the chain.",
        "see ChainSynced for why, and mend that before the Node's volume is full",
    ),
    Reason.SPOOL_DAMAGED: Failure(
        "A record in the attestor's spool can't be read.",
        "see the attestor's log; restore the file, or delete the Node to start over",
    ),
    Reason.EXCHANGE_UNREACHABLE: Failure(
        "The exchange doesn't answer. Nodes train on their own groups meanwhile.",
        "start the NATS server, or correct exchange.url of the chart",
    ),
    # --- how it goes on
    Reason.UPDATE_STALLED: Failure(
        "A Node that has the changed spec or image doesn't get well, so that the others keep the earlier one.",
        "mend what it says, or set the changed fields back: it is the first to get them",
    ),
    Reason.ROLLED_BACK: Failure(
        "A Node was not ready with the changed spec or image in spec.update.progressDeadlineSeconds, or restarted more "
        "often than failurePolicy.maxRestarts: it has its earlier pods again, and the other Nodes keep theirs.",
        "mend what it says and change the spec, or set the changed fields back; the same change is tried again with "
        "spec.update.rollback false",
    ),
    Reason.NODES_DEGRADED: Failure(
        "Several Nodes have something wrong, each something else.",
        "see each Node's own condition: `kubectl swarm describe`",
    ),
    Reason.NODES_FAILED: Failure(
        "Nothing of the Swarm goes on, and a Node has failed.",
        "see the Node's own condition: `kubectl swarm describe`",
    ),
    Reason.RESTARTS_EXHAUSTED: Failure(
        "The head pod's containers were started again more often than failurePolicy.maxRestarts.",
        "mend what made them end, and edit the spec to go on",
    ),
    Reason.DEADLINE_EXCEEDED: Failure(
        "Not complete in failurePolicy.deadlineSeconds.",
        "raise failurePolicy.deadlineSeconds to go on",
    ),
}
