"""The same game as an OpenEnv server: `python openenv_guess.py PORT`, with openenv from the package index.

A Swarm uses it with environment.openEnv: {url: "http://...:PORT", observation: text, action: text}.
"""

import random
import sys

import uvicorn
from guess import guess_of
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State


class Guess(Action):
    text: str


class Heard(Observation):
    text: str


class GuessEnvironment(Environment):
    """The number follows from the seed, so that an episode can be played again."""

    def __init__(self):
        super().__init__()
        self._state = State()

    def reset(self, seed=None, episode_id=None, **_):
        self._state = State(episode_id=episode_id, step_count=0)
        self._number = random.Random(seed).randint(1, 9)
        return Heard(text=f"I think of a number from 1 to 9, player {seed}. Guess it.", reward=0.0)

    def step(self, action, timeout_s=None, **_):
        self._state.step_count += 1
        guess = guess_of(action.text)
        if guess == self._number:
            return Heard(text="Yes.", reward=1 / self._state.step_count, done=True)
        text = "Say a number from 1 to 9." if guess is None else "Higher." if guess < self._number else "Lower."
        return Heard(text=text, reward=0.0)

    @property
    def state(self):
        return self._state


if __name__ == "__main__":
    app = create_app(GuessEnvironment, Guess, Heard, env_name="guess")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
