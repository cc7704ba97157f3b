"""Conversations to token ids and back: the model's chat template where it has one, plain text where not."""

import threading
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from kubeswarm_workers.environments.contract import Turn

#: Stands for an answer where only what comes behind it is looked for.
ANSWER = "4f7c1d"


class Text:
    """Wraps a tokenizer. The same turns give the same ids on every Node: foreign prompts are compared id by id.

    Threads may share it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()  # a fast tokenizer is in error when two threads are in it

    def encode(self, turns: Sequence[Turn]) -> tuple[int, ...]:
        """The prompt's token ids, ending where the assistant's answer begins."""
        with self._lock:
            text = self._templated(turns) if self._tokenizer.chat_template else plain(turns)
            return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def between(self, answer: Sequence[int], turns: Sequence[Turn]) -> tuple[int, ...]:
        """The token ids between an answer and the next one: the answer's end, the environment's turns, and where the
        next answer begins. An end that was sampled with `answer` is not repeated."""
        conversation = [Turn("user", "?"), Turn("assistant", ANSWER), *turns]
        with self._lock:
            text = self._templated(conversation) if self._tokenizer.chat_template else plain(conversation)
            ids = tuple(self._tokenizer(text.rpartition(ANSWER)[2], add_special_tokens=False)["input_ids"])
        return ids[1:] if answer[-1:] == ids[:1] else ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a completion, without special tokens."""
        with self._lock:
            return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    def _templated(self, turns: Sequence[Turn]) -> str:
        try:
            return self._apply(turns)
        except TemplateError:
            return self._apply(without_system(turns))

    def _apply(self, turns: Sequence[Turn]) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def plain(turns: Sequence[Turn]) -> str:
    """The conversation as text for a model without a chat template: a blank line between questions."""
    return "".join(turn.content + ("\n" if turn.role == "user" else "\n\n") for turn in turns)


def without_system(turns: Sequence[Turn]) -> list[Turn]:
    """The same for a template that knows no system role: what it said stands before the first question."""
    system = [turn.content for turn in turns if turn.role == "system"]
    rest = [turn for turn in turns if turn.role != "system"]
    return [Turn(rest[0].role, "\n\n".join([*system, rest[0].content])), *rest[1:]]
