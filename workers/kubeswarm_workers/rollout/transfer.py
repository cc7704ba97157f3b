"""KubeSwarm's back end of vLLM's weight transfer: tensors come as messages through Ray's object store.

Registered under BACKEND when this module is imported, which the engine's process does before it makes the engine.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.config.weight_transfer import WeightTransferConfig
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.model_loader.reload.layerwise import finalize_layerwise_reload, initialize_layerwise_reload

from kubeswarm_workers.weights import Packed, digests_of, policy_digest

BACKEND = "kubeswarm"


@dataclass
class Nothing(WeightTransferInitInfo):
    """There is no connection to make: Ray carries the messages."""


@dataclass
class Message(WeightTransferUpdateInfo):
    """Some tensors of one update."""

    tensors: list[Packed] = field(default_factory=list)


class ObjectStoreTransfer(WeightTransferEngine[Nothing, Message]):
    """Loads messages through the model's own checkpoint loader, layer by layer.

    Keeps the digest of every tensor that was ever loaded: together they are the digest of the policy in the engine.
    """

    init_info_cls = Nothing
    update_info_cls = Message

    def __init__(self, config: WeightTransferConfig, vllm_config: Any, device: torch.device, model: Any) -> None:
        super().__init__(config, vllm_config, device, model)
        self._digests: dict[str, bytes] = {}

    def init_transfer_engine(self, init_info: Nothing) -> None:
        """Nothing to do."""

    def start_weight_update(self) -> None:
        """Puts the layers aside, to be filled by `update_weights`."""
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Takes one message. (The base class waits for an accelerator after it, which a CPU has not.)"""
        self.receive_weights(self.parse_update_info(update_info))

    def receive_weights(self, update_info: Message) -> None:
        """Loads a message's tensors. Raises if the model knows no tensor of that name."""
        with ThreadPoolExecutor(1) as beside:
            digests = beside.submit(digests_of, update_info.tensors)
            self.model.load_weights(
                [  # pyright: ignore[reportCallIssue]
                    (tensor.name, tensor.unpack()) for tensor in update_info.tensors
                ]
            )
            self._digests |= digests.result()

    def finish_weight_update(self) -> None:
        """Puts the layers in place; those of which nothing came keep what they had."""
        finalize_layerwise_reload(self.model, self.model_config)
        self._repack_tied_head()

    def _repack_tied_head(self) -> None:
        """On a CPU the output layer works on a packed copy of its weight, which a reload of the embedding leaves stale
        when the two are tied: the only sign would be wrong probabilities."""
        head = getattr(self.model, "lm_head", None)
        embedding = getattr(getattr(self.model, "model", None), "embed_tokens", None)
        if getattr(self.model.config, "tie_word_embeddings", False) and head is not None and embedding is not None:
            head.weight = embedding.weight
            head.quant_method.process_weights_after_loading(head)

    def digest(self) -> bytes:
        """The digest of the policy as it was received."""
        return policy_digest(self._digests)

    def shutdown(self) -> None:
        """Nothing to release."""


WeightTransferEngineFactory.register_engine(BACKEND, ObjectStoreTransfer)
