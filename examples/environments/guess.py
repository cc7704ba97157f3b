"""Guess a number from 1 to 9 in a few answers: an environment of several turns, as Python functions.

A Swarm uses it with environment.python: {code: {file: ...}, step: step}, and rollout.maxTurns over 1.
"""

import random
import re


def rows(count=200):
    """The items: a prompt, and the columns that `step` and the rewards get."""
    chance = random.Random(0)
    for number in range(count):
        name = f"player {number}"
        yield {"prompt": f"I think of a number from 1 to 9, {name}. Guess it.", "answer": chance.randint(1, 9)}


def guess_of(text):
    """The first digit of an answer; None without one."""
    found = re.search(r"[1-9]", text)
    return int(found.group()) if found else None


def step(messages, answer):
    """What the player hears; None when the game is over. It follows from the conversation alone."""
    guess = guess_of(messages[-1]["content"])
    if guess == answer:
        return None
    if guess is None:
        return "Say a number from 1 to 9."
    return "Higher." if guess < answer else "Lower."


def reward(prompts, completions, answer):
    """1 for the number at once, less for each answer more, 0 if it was not found."""
    rewards = []
    for turns, number in zip(completions, answer, strict=True):
        guesses = [guess_of(turn["content"]) for turn in turns if turn["role"] == "assistant"]
        rewards.append(1 / len(guesses) if guesses[-1] == number else 0.0)
    return rewards
