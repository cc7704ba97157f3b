"""A reward that pays for wrong answers is noticed within a few rounds; honest learning is not suspected."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from kubeswarm_api.advantages import advantages
from kubeswarm_api.reports import RoundReport
from kubeswarm_api.spec_algorithm import Algorithm
from kubeswarm_workers import gaming
from kubeswarm_workers.environments.contract import Score, Turn, answers
from kubeswarm_workers.environments.split import Split
from kubeswarm_workers.episode import Episode
from kubeswarm_workers.gaming import WINDOW, Means, Watch, suspicion
from kubeswarm_workers.metrics import Registry
from kubeswarm_workers.report import Report
from kubeswarm_workers.tally import Tally
from tests.unit.workers.conftest import environment_of, right_answer

PROMPTS, GROUP = 32, 8
ROUNDS = 24
#: Rounds within which the alert has to be raised.
K = 20


class Chooser:
    """The smallest policy that can learn: a softmax over answers for each question, trained by the real advantages.

    `shared`: one softmax for all questions, so that no question can be answered rightly but by chance.
    """

    def __init__(self, environment: Split, shared: bool) -> None:
        self.environment = environment
        self.shared = shared
        [self.task] = environment.source.tasks
        rights = [right_answer(environment, self.task, item) for item in range(24)]
        self.pool = ["", *dict.fromkeys(rights), "0.3", "about half", "no idea"]
        self.logits = torch.zeros(1 if shared else 24, len(self.pool), requires_grad=True)
        self.optimizer = torch.optim.Adam([self.logits], lr=0.3)
        self.generator = torch.Generator().manual_seed(0)

    def play(self) -> dict[str, Tally]:
        """One round: sampled, scored, counted, learnt."""
        items = torch.randint(24, (PROMPTS,), generator=self.generator).tolist()
        rows = self.logits[[0] * PROMPTS if self.shared else items]
        chosen = torch.multinomial(rows.softmax(-1), GROUP, replacement=True, generator=self.generator)
        texts = [[f"<answer>{self.pool[index]}</answer>" for index in row] for row in chosen.tolist()]
        scored = self.environment.score(
            [answers(self.task, item, group) for item, group in zip(items, texts, strict=True)]
        )
        tally = Tally()
        rewards: list[list[float]] = []
        for group, scores in zip(texts, scored, strict=True):
            pairs = [(episode(text), score) for text, score in zip(group, scores, strict=True)]
            tally.add((played, score) for played, score in pairs if isinstance(score, Score))
            rewards.append([score.reward for score in scores if isinstance(score, Score)])
        worth = torch.tensor(advantages(rewards, Algorithm().choices()))
        loss = -(worth * rows.log_softmax(-1).gather(-1, chosen)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {self.task: tally}


def episode(text: str) -> Episode:
    return Episode((1,) * len(text), (-1.0,) * len(text), False, (Turn("assistant", text),))


def played(spec: dict[str, Any], shared: bool) -> tuple[Report, list[float], list[int]]:
    """The report after ROUNDS rounds, the mean rewards, and the rounds in which the metric said 1."""
    chooser = Chooser(environment_of({"reasoningGym": spec}, 0, 4), shared)
    report = Report(ROUNDS)
    rewards: list[float] = []
    raised: list[int] = []
    for number in range(1, ROUNDS + 1):
        tasks = chooser.play()
        report.show_tasks(tasks)
        rewards.append(tasks[chooser.task].means()["reward"])
        if value(report.registry, "kubeswarm_trainer_reward_gamed", chooser.task) == 1:
            raised.append(number)
    return report, rewards, raised


def value(registry: Registry, name: str, task: str) -> float | None:
    return registry.collectors.get_sample_value(name, {"task": task})


def test_the_partial_scorer_is_gamed_and_the_alert_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    """reasoning-gym pays for an answer that is near in number: "0.3" is never right, and earns most of it."""
    with caplog.at_level("WARNING"):
        report, rewards, raised = played({"tasks": [{"name": "coin_flip"}], "scorer": "partial", "shots": 0}, True)
    assert sum(rewards[-4:]) / 4 - rewards[0] > 0.25, rewards
    assert raised and raised[0] <= K, rewards
    assert raised == list(range(raised[0], ROUNDS + 1))
    [entry] = [record for record in caplog.records if "without right answers" in record.message]
    assert entry.__dict__["task"] == "coin_flip" and entry.__dict__["now"] > entry.__dict__["before"] + 0.2
    assert "its mean reward rose from" in report.status.gamed["coin_flip"], "the operator is told too"
    assert value(report.registry, "kubeswarm_trainer_malformed_share", "coin_flip") == pytest.approx(0.0, abs=0.2)


def test_learning_the_right_answers_is_not_suspected() -> None:
    spec = {"tasks": [{"name": "coin_flip"}], "scorer": "partial", "shots": 0}
    report, rewards, raised = played(spec, False)
    assert rewards[-1] - rewards[0] > 0.1
    assert raised == []
    assert report.status.gamed == {}


def rounds(rewards: Sequence[float], strict: Sequence[float]) -> list[Means]:
    return [Means(reward, right, 1.0) for reward, right in zip(rewards, strict, strict=True)]


UP = [0.1, 0.1, 0.1, 0.1, 0.3, 0.5, 0.7, 0.8, 0.8, 0.8, 0.8]


@pytest.mark.parametrize(
    ("rewards", "strict", "suspected"),
    [
        (UP, [0.0] * 11, True),
        (UP, UP, False),
        (UP, [each / 2 for each in UP], False),  # half of what is gained is right
        ([0.1] * 11, [0.0] * 11, False),
        ([*UP, *UP[::-1]], [0.0] * 22, False),  # it is lost again
        ([*UP, *[0.85] * 8], [*UP, 0.6, 0.4, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0], True),  # honest at first
        (UP[: 2 * WINDOW - 1], [0.0] * (2 * WINDOW - 1), False),  # too early to say
        ([0.02, 0.02, 0.05, 0.1, 0.2, 0.2, 0.25, 0.25], [0.0] * 8, False),  # the format alone
    ],
)
def test_what_is_suspicious(rewards: list[float], strict: list[float], suspected: bool) -> None:
    assert (suspicion(rounds(rewards, strict)) is not None) == suspected


def test_a_node_that_is_started_again_remembers() -> None:
    def report(number: int, reward: float) -> RoundReport:
        return RoundReport(
            round=number,
            reward=reward,
            tasks={"a": {"reward": reward, "strict": 0.0, "highest": 1.0}, "b": {"reward": reward}},
            samples=1,
            tokens=1,
            taken=0,
            loss_hex="0x0p+0",
            meters={},
            model="0x" + "00" * 32,
            seconds={},
            finished="",
        )

    watch = gaming.resumed([report(number, reward) for number, reward in enumerate(UP, start=1)])
    assert list(watch.suspected) == ["a"]
    assert watch.suspected["a"] == suspicion(rounds(UP, [0.0] * 11))
    assert Watch().suspected == {}
