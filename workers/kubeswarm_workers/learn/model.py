"""The model as the learner holds it: trained in full, or through a low-rank adapter on a frozen base.

What is trained is held in fp32 (the master weights), what is frozen in the engines' type; with bfloat16 engines the
forward pass runs in bfloat16 as theirs does.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.spec_model import Lora
from kubeswarm_workers.learn.batch import Tensors
from kubeswarm_workers.weights import Packed

ADAPTER = "default"


def resolve(model: str) -> Path:
    """The model's directory; a hub name (owner/name[@revision]) is fetched first.

    Raises InvalidConfig if neither is there.
    """
    if Path(model).is_absolute():
        if not (Path(model) / "config.json").is_file():
            raise InvalidConfig(f"{model} holds no config.json: mount a model directory there, or set model.path")
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    name, _, revision = model.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise InvalidConfig(f"model.hub {model} can't be fetched ({error}): check its name and the network") from error


def engine_dtype(directory: Path) -> torch.dtype:
    """What the engines sample in: the type that the model was saved in, bfloat16 for half precision of either kind."""
    saved = getattr(AutoConfig.from_pretrained(directory), "dtype", None)
    return torch.float32 if saved in (None, torch.float32) else torch.bfloat16


def load_tokenizer(directory: Path) -> Any:
    """The model's tokenizer."""
    return AutoTokenizer.from_pretrained(directory)


class Policy:
    """The model, its forward pass on micro-batches, and its weights in the engines' names and type.

    The random start of an adapter follows from `seed`.
    """

    def __init__(self, directory: Path, lora: Lora | None, seed: int) -> None:
        self.dtype = engine_dtype(directory)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        transformers.utils.logging.disable_progress_bar()
        held = self.dtype if lora else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=held, attn_implementation="sdpa")
        model.to(self.device)
        model.config.use_cache = False
        self.lora = lora
        self.model: Any = model
        self._directory = directory
        self._reference: Any = None
        self._adapter: peft.PeftModel | None = None
        self._adapted: dict[str, Any] = {}
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        if lora is not None:
            config = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", lora_dropout=0.0)
            adapted = peft.get_peft_model(model, config, adapter_name=ADAPTER, autocast_adapter_dtype=True)
            assert isinstance(adapted, peft.PeftModel)
            self._adapter = adapted
            layers: Iterator[Any] = (module for module in adapted.modules() if isinstance(module, LoraLayer))
            self._adapted = {self._names[id(layer.base_layer.weight)]: layer for layer in layers}
            for layer in self._adapted.values():
                layer.cast_input_dtype_enabled = False  # or each adapter keeps an fp32 copy of its input
        self.vocabulary: int = model.config.vocab_size
        self.context: int = model.config.max_position_embeddings

    def trainable(self) -> dict[str, nn.Parameter]:
        """What an update changes, by name, in a fixed order."""
        return {name: each for name, each in self.model.named_parameters() if each.requires_grad}

    def logprobs(self, batch: Tensors, temperature: float) -> Tensor:
        """Log-probabilities of the batch's completion tokens at `temperature`, shape (N,), fp32.

        Only the hidden states that predict a completion token go through the output layer: its logits are the largest
        tensor of the pass.
        """
        return self._logprobs(self.model, batch, temperature)

    @torch.no_grad()
    def reference_logprobs(self, batch: Tensors, temperature: float) -> Tensor:
        """The same under the base model, without gradient: the adapter switched off, or a frozen copy."""
        if self._adapter is not None:
            with self._adapter.disable_adapter():
                return self._logprobs(self.model, batch, temperature)
        if self._reference is None:
            reference: Any = AutoModelForCausalLM.from_pretrained(
                self._directory, dtype=self.dtype, attn_implementation="sdpa"
            )
            self._reference = reference.to(self.device).eval().requires_grad_(False)
            self._reference.config.use_cache = False
        return self._logprobs(self._reference, batch, temperature)

    def save_memory(self) -> None:
        """Keeps no activations of the layers from now on: the backward pass computes them again."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def _logprobs(self, model: Any, batch: Tensors, temperature: float) -> Tensor:
        with self.precision():
            hidden_B_L_D = model.base_model(
                input_ids=batch.tokens_B_L, position_ids=batch.positions_B_L, attention_mask=batch.attend_B_1_L_L
            ).last_hidden_state
            logits_N_V = model.get_output_embeddings()(hidden_B_L_D[batch.rows_N, batch.columns_N])
        logits_N_V = logits_N_V.float()
        if temperature != 1.0:
            logits_N_V = logits_N_V / temperature
        return -nn.functional.cross_entropy(logits_N_V, batch.targets_N, reduction="none")

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """What a forward pass of `model` has to run in."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def tensors(self) -> Iterator[tuple[str, bool, Tensor]]:
        """All weights as (name, changed by updates, value) in the engines' type; adapters are merged in.

        Names are those of the checkpoint format; of weights that are tied there is one. What updates change is copied.
        """
        for name, parameter in self._base_parameters():
            layer = self._adapted.get(name)
            if layer is None:
                changed = self.lora is None
                yield name, changed, parameter.detach().to(self.dtype, copy=changed)
            else:
                with torch.no_grad():
                    up, down = layer.lora_B[ADAPTER].weight, layer.lora_A[ADAPTER].weight
                    merged = torch.addmm(parameter.float(), up, down, alpha=layer.scaling[ADAPTER])
                yield name, True, merged.to(self.dtype)

    def packed(self, changed_only: bool) -> Iterator[Packed]:
        """The weights ready to travel; `changed_only` leaves out those that no update touches."""
        for name, changed, value in self.tensors():
            if changed or not changed_only:
                yield Packed.pack(name, value)

    def _base_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for parameter in self.model.parameters():
            if (name := self._names.get(id(parameter))) is not None:
                yield name, parameter
