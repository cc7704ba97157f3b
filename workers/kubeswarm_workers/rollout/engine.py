"""The engine actor: vLLM inside a Ray worker process."""

import logging
import os
import time
from typing import Any

import torch

from kubeswarm_api import metrics as names
from kubeswarm_workers.rollout.sampling import EngineSpec, Request, Sampled
from kubeswarm_workers.weights import Packed

#: Tokens of one forward pass at most. Prompts are never cut: seeds of requests do not survive that on a CPU.
BATCH_TOKENS = 16384
#: With 32 the example that all prompts share is computed once; the CPU's kernels want multiples of 32.
BLOCK_TOKENS = 32
MIN_CACHE_BYTES = 64 * 1024**2
MAX_CACHE_BYTES_ON_CPU = 4 * 1024**3
#: Of a GPU's memory: the learner may have its part of the same one.
MAX_CACHE_SHARE_OF_GPU = 0.4


def cache_bytes(config: Any, spec: EngineSpec, element_bytes: int, most: int) -> int:
    """Bytes of a key-value cache that holds one round's completions at full length, between 64 MiB and `most`."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * heads * size * element_bytes
    blocks = spec.sequences * (spec.max_tokens // BLOCK_TOKENS + 2) + spec.context // BLOCK_TOKENS + spec.sequences
    return min(max(blocks * BLOCK_TOKENS * token, MIN_CACHE_BYTES), most)


class Engine:
    """One engine. Its methods run one at a time, in the order of the calls; each raises what vLLM raises."""

    def __init__(self, spec: EngineSpec) -> None:
        # vLLM reads these when it is imported. One process: the actor is the worker, and messages need no copy.
        os.environ.update(
            VLLM_ENABLE_V1_MULTIPROCESSING="0",
            VLLM_NO_USAGE_STATS="1",
            VLLM_CPU_OMP_THREADS_BIND="nobind",
            VLLM_USE_FLASHINFER_SAMPLER="0",  # it is for top-k and top-p alone, and would have to be compiled
            VLLM_LOGGING_LEVEL="WARNING",
        )
        if not torch.cuda.is_available():
            # Even when it runs eagerly vLLM compiles a few functions of its own, and the image has no C++ compiler.
            os.environ["TORCHDYNAMO_DISABLE"] = "1"
        from vllm import LLM
        from vllm.config import WeightTransferConfig
        from vllm.platforms import current_platform

        from kubeswarm_workers.learn.model import resolve
        from kubeswarm_workers.metrics import Registry
        from kubeswarm_workers.rollout.transfer import BACKEND

        logging.getLogger("vllm.model_executor.model_loader.reload").setLevel(logging.ERROR)
        from transformers import AutoConfig

        directory = resolve(spec.model)
        config = AutoConfig.from_pretrained(directory)
        on_cpu = current_platform.is_cpu()
        self._spec = spec
        element_bytes = 4 if spec.dtype == "float32" else 2
        options: dict[str, Any] = {}
        if on_cpu:
            options["block_size"] = BLOCK_TOKENS
            cache = cache_bytes(config, spec, element_bytes, MAX_CACHE_BYTES_ON_CPU)
        else:
            memory = torch.cuda.get_device_properties(0).total_memory
            cache = cache_bytes(config, spec, element_bytes, int(memory * MAX_CACHE_SHARE_OF_GPU))
            options["gpu_memory_utilization"] = cache / memory  # what has to be free at its start
        self._llm: Any = LLM(
            str(directory),
            dtype=spec.dtype,  # pyright: ignore[reportArgumentType]
            seed=0,
            enforce_eager=on_cpu,
            max_model_len=spec.context,
            max_num_seqs=spec.sequences,
            max_num_batched_tokens=max(BATCH_TOKENS, spec.context),
            enable_chunked_prefill=False,
            async_scheduling=False,  # a pause between two passes finds none under way
            logprobs_mode="processed_logprobs",
            disable_log_stats=True,
            kv_cache_memory_bytes=cache,
            weight_transfer_config=WeightTransferConfig(backend=BACKEND),
            **options,
        )
        self._updates = self._begun_after = 0
        self._started = 0.0
        self._ended: list[Any] = []
        self._metrics = Registry()
        self._metrics.gauge(names.ENGINE_READY).set(1)

    def start_update(self) -> None:
        """Begins a transfer of weights."""
        self._llm.collective_rpc("start_weight_update")

    def receive(self, tensors: list[Packed]) -> None:
        """Takes one message of the transfer."""
        self._llm.collective_rpc("update_weights", args=({"tensors": tensors},))

    def finish_update(self) -> bytes:
        """Ends the transfer, forgets what was computed with the old weights, and returns the policy's digest."""
        self._llm.collective_rpc("finish_weight_update")
        self._forget()
        self._updates += 1
        self._llm.llm_engine.set_weight_version(str(self._updates))  # vLLM notes it by token
        return self._llm.collective_rpc(_digest)[0]

    def _forget(self) -> None:
        # What is kept by a pause goes on by computing its tokens again.
        if not self._llm.reset_prefix_cache(reset_running_requests=True):
            raise RuntimeError("the prefix cache was in use and could not be reset")

    def generate(self, requests: list[Request]) -> list[list[Sampled]]:
        """Samples all requests as one batch. The result follows from weights and requests alone: the cache is empty
        before, since whether a prefix is found in it changes the composition of the batch and with it the rounding."""
        self.begin(requests, 0)
        return self.finish()

    def begin(self, requests: list[Request], passes: int) -> None:
        """The first `passes` forward passes of the same; then what is unfinished is kept, and waits for `finish`.

        In between the weights may be changed: what follows is computed and sampled with the new ones alone, and each
        completion says from where on.
        """
        from vllm import SamplingParams

        self._forget()
        self._started, self._begun_after = time.monotonic(), self._updates
        self._llm.enqueue(
            [{"prompt_token_ids": list(request.prompt)} for request in requests],
            [
                SamplingParams(
                    n=request.samples,
                    seed=request.seed,
                    temperature=self._spec.temperature,
                    max_tokens=self._spec.max_tokens,
                    stop=[self._spec.stop],
                    include_stop_str_in_output=True,
                    logprobs=0,
                )
                for request in requests
            ],
            use_tqdm=False,
        )
        self._ended = [output for _ in range(passes) for output in self._llm.llm_engine.step()]
        self._llm.sleep(level=0, mode="keep")

    def finish(self) -> list[list[Sampled]]:
        """The rest of what was begun; then all of it, in the order of the requests."""
        self._llm.wake_up(["scheduling"])
        outputs = sorted(
            [*self._ended, *self._llm.wait_for_completion(use_tqdm=False)], key=lambda output: int(output.request_id)
        )
        sampled = [[_sampled(each, str(self._begun_after)) for each in output.outputs] for output in outputs]
        self._metrics.histogram(names.ENGINE_SECONDS).observe(time.monotonic() - self._started)
        self._metrics.counter(names.ENGINE_TOKENS).inc(sum(len(each.tokens) for group in sampled for each in group))
        return sampled

    def probe(self, tokens: list[int]) -> tuple[list[float], float]:
        """Log-probabilities of tokens 1.. of a sequence: computed afresh, shape (len - 1,); and that of the last one
        as a generation finds it, with what the prefix cache holds of the tokens before."""
        from vllm import SamplingParams

        *prompt, last = tokens
        through_cache = SamplingParams(temperature=1.0, max_tokens=1, logprobs=1, logprob_token_ids=[last], seed=0)
        afresh = SamplingParams(temperature=1.0, max_tokens=1, prompt_logprobs=0, seed=0)
        # In one pass, the first of them before the other has left anything in the cache.
        prompts = [{"prompt_token_ids": prompt}, {"prompt_token_ids": tokens}]
        found, output = self._llm.generate(prompts, [through_cache, afresh], use_tqdm=False)
        cached = float(found.outputs[0].logprobs[0][last].logprob)
        assert output.prompt_logprobs is not None
        fresh = [
            float(entry[token].logprob)
            for entry, token in zip(output.prompt_logprobs[1:], tokens[1:], strict=True)
            if entry is not None
        ]
        return fresh, cached

    def process_id(self) -> int:
        """Process id, once the engine is there."""
        return os.getpid()


def _digest(worker: Any) -> bytes:
    return worker.weight_transfer_engine.digest()


def _sampled(output: Any, version: str) -> Sampled:
    logprobs = tuple(
        float(entry[token].logprob) for entry, token in zip(output.logprobs, output.token_ids, strict=True)
    )
    switched_at = next((span.start for span in output.weight_versions if span.version != version), None)
    return Sampled(tuple(output.token_ids), logprobs, output.finish_reason == "length", switched_at)
