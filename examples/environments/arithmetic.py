"""A taskset of the verifiers library (0.4, its v1 API): sums, as one would write it for verifiers alone.

A Swarm uses it with environment.verifiers: {code: {file: ...}} and interpreter: {requirements: [verifiers==0.4.0]}.
"""

import random
import re

import verifiers.v1 as vf


class SumsConfig(vf.TasksetConfig):
    count: int = 200
    highest: int = 20


class Sum(vf.TaskData):
    total: int


class SumTask(vf.Task[Sum]):
    @vf.reward(weight=0.8)
    async def right(self, trace) -> float:
        numbers = re.findall(r"-?\d+", trace.last_reply)
        return float(bool(numbers) and int(numbers[-1]) == self.data.total)

    @vf.reward(weight=0.2)
    async def short(self, trace) -> float:
        return float(len(trace.last_reply) <= 20)

    @vf.metric
    async def letters(self, trace) -> float:
        return float(len(trace.last_reply))


class Sums(vf.Taskset[SumTask, SumsConfig]):
    def load(self):
        chance = random.Random(0)
        for _ in range(self.config.count):
            one, other = chance.randint(0, self.config.highest), chance.randint(0, self.config.highest)
            yield SumTask(Sum(prompt=f"What is {one} + {other}?", total=one + other), self.config.task)


__all__ = ["Sums"]
