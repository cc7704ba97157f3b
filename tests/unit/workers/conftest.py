"""A model small enough to train in a test: Qwen3 of 2 layers with a tokenizer of characters."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from kubeswarm_api.spec_environment import Environment
from kubeswarm_workers.environments.context import Context
from kubeswarm_workers.environments.reasoning import ReasoningSource
from kubeswarm_workers.environments.serve import build
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.text import Text

SPELLING = {
    "reasoningGym": {"tasks": [{"name": "spell_backward", "args": {"min_word_len": 3, "max_word_len": 4}}], "shots": 0}
}


def character_tokenizer() -> PreTrainedTokenizerFast:
    """One token a printable ASCII character."""
    symbols = ["<eos>", "<unk>", *string.printable[:95], "\n"]
    tokenizer = Tokenizer(models.WordLevel({symbol: index for index, symbol in enumerate(symbols)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")


def environment_of(spec: dict[str, Any], seed: int, held_out_items: int, files: Path = Path("/nowhere")) -> Split:
    """The environment of a spec, in this process."""
    kind, content = Environment.model_validate(spec).kind()
    environment = build(kind, content, Context(seed, held_out_items, files))
    assert isinstance(environment, Split)
    return environment


def right_answer(environment: Split, task: str, item: int) -> str:
    """reasoning-gym's own answer."""
    assert isinstance(environment.source, ReasoningSource)
    return environment.source.answer(task, item)


def make_model(directory: Path, environment: Split, steps: int) -> None:
    """Saves a model in fp32 that was shown `steps` batches of right answers, so that it knows the format."""
    torch.manual_seed(0)
    tokenizer = character_tokenizer()
    text = Text(tokenizer)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        examples = []
        for prompt in environment.draw(99, step, 8):
            answer = right_answer(environment, prompt.task, prompt.item)
            tokens = text.encode(prompt.turns)
            solution = tokenizer(f"<answer>{answer}</answer>", add_special_tokens=False)["input_ids"]
            examples.append((tokens, solution))
        longest = max(len(tokens) + len(solution) for tokens, solution in examples)
        ids = torch.zeros(len(examples), longest, dtype=torch.long)
        labels = torch.full_like(ids, -100)
        for row, (tokens, solution) in enumerate(examples):
            ids[row, : len(tokens) + len(solution)] = torch.tensor([*tokens, *solution])
            labels[row, len(tokens) : len(tokens) + len(solution)] = torch.tensor(solution)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


@pytest.fixture(scope="session")
def characters() -> Callable[[], PreTrainedTokenizerFast]:
    """Makes a tokenizer of characters."""
    return character_tokenizer


@pytest.fixture(scope="session")
def spelling() -> Split:
    """Spell a word of 3 or 4 letters backwards."""
    return environment_of(SPELLING, 0, 8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, spelling: Split) -> Path:
    """The directory of the tiny model."""
    directory = tmp_path_factory.mktemp("tiny-model")
    make_model(directory, spelling, 60)
    return directory
