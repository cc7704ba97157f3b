"""Lineage and receipts of Nodes that learnt from one another, attested by the attestor's own code on a real chain."""

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeswarm_api import names
from kubeswarm_api.encoding import digest, from_hex, to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.node_config import NodeConfig
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_api.rollouts import Completion, Group, RolloutBatch
from kubeswarm_api.spec_training import Attestation, TrainingSpec
from kubeswarm_api.stored import StoredGroup, StoredRound, file_name
from kubeswarm_cli.errors import CommandError
from kubeswarm_cli.local.provenance import build
from kubeswarm_cli.local.volume import Volume
from kubeswarm_cli.main import main
from kubeswarm_contracts import receipt as receipts
from kubeswarm_contracts import swarm_id
from kubeswarm_contracts.receipt import Receipt
from kubeswarm_workers.attest.loop import Attestor
from kubeswarm_workers.attest.spool import Author, Spool, append

TRAINING = {"model": {"image": "model:v1"}, "environment": {"reasoningGym": {"tasks": [{"name": "needle_haystack"}]}}}


class Trained:
    """A Node with a volume, as its trainer leaves it, and its attestor."""

    def __init__(self, anvil: Any, swarm: str, folder: Path) -> None:
        self.anvil, self.chain, self.swarm_id = anvil, anvil.chain, swarm
        self.account = anvil.account()
        self.node_id = self.account.address
        self.data = folder
        self.volume = Volume(folder.name, folder, None)
        self.records: list[RoundRecord] = []
        self.published: dict[int, RolloutBatch] = {}
        self.random = random.Random(folder.name)
        for name in (names.SPOOL, names.STORED_ROUNDS):
            (folder / name).mkdir(parents=True)
        where = self.chain.deployment
        config = NodeConfig(
            namespace="default",
            name=folder.name,
            swarm="swarm",
            swarm_id=swarm,
            index=0,
            training=TrainingSpec.model_validate({**TRAINING, "rounds": 100}),
            attest=Attestation(rounds=1, seconds=1),
            model_dir="/model",
            chain=where.config(anvil.url),
        )
        assert config.chain is not None
        spool = Spool(folder / names.SPOOL, Author(where.chain_id, where.node_registry, swarm, self.node_id))
        self.attestor = Attestor(config, config.chain, anvil.transactor(self.account), self.node_id, spool)

    @property
    def model(self) -> str:
        return self.records[-1].model_after if self.records else to_hex(digest(b"base"))

    def sample(self, groups: int = 2) -> RolloutBatch:
        """The next round's own rollouts."""
        made = [
            Group(
                task="needle",
                item=self.random.randrange(100),
                prompt_tokens=[1, 2, 3],
                completions=[completion(self.random) for _ in range(4)],
            )
            for _ in range(groups)
        ]
        number = len(self.records) + 1
        batch = RolloutBatch(swarm_id=self.swarm_id, node_id=self.node_id, round=number, model=self.model, groups=made)
        self.published[number] = batch
        return batch

    def learn(self, batch: RolloutBatch, foreign: Sequence[tuple[RolloutBatch, int]] = ()) -> None:
        """Finishes the round; `foreign`: (batch of another Node, index of a group of it)."""
        completions = [one for group in batch.groups for one in group.completions]
        record = RoundRecord(
            chain_id=self.chain.deployment.chain_id,
            registry=self.chain.deployment.node_registry,
            swarm_id=self.swarm_id,
            node_id=self.node_id,
            round=batch.round,
            previous=to_hex(self.records[-1].digest()) if self.records else NO_DIGEST,
            config=to_hex(digest(b"config")),
            model_before=self.model,
            model_after=to_hex(digest(f"{self.node_id} {batch.round}".encode())),
            rollouts_root=to_hex(batch.root()),
            samples=len(completions),
            reward=500_000,
            tokens=sum(len(one.tokens) for one in completions),
        )
        own = [stored_group(group, self.node_id, batch.round) for group in batch.groups]
        taken = [stored_group(other.groups[index], other.node_id, other.round) for other, index in foreign]
        stored = StoredRound(
            record=record,
            training=TrainingSpec.model_validate(TRAINING),
            sampled_with=batch.model,
            threads=1,
            made_by={},
            own=own,
            foreign=taken,
        )
        (self.data / names.STORED_ROUNDS / file_name(batch.round)).write_bytes(stored.to_bytes())
        append(self.data / names.SPOOL, record)
        self.records.append(record)


def completion(source: random.Random) -> Completion:
    length = source.randint(1, 5)
    return Completion(
        tokens=[source.randrange(50) for _ in range(length)],
        logprobs=[-source.random() for _ in range(length)],
        reward=source.choice([0.0, 0.5, 1.0]),
        truncated=False,
    )


def stored_group(group: Group, node_id: str, round: int) -> StoredGroup:
    return StoredGroup(group=group, prompt="p", answers=["a"] * len(group.completions), node_id=node_id, round=round)


@pytest.fixture
def pair(own_anvil: Any, tmp_path: Path) -> tuple[Trained, Trained]:
    """Two Nodes, 6 rounds each: the first learns from the second's, and both are attested in two batches."""
    owner = own_anvil.transactor()
    owner.create_swarm(digest(b"uid"), digest(b"config"))
    swarm = swarm_id(owner.account.address, digest(b"uid"))
    first, second = (Trained(own_anvil, swarm, tmp_path / name) for name in ("light-0", "light-1"))
    for number in range(1, 7):
        mine, theirs = first.sample(), second.sample()
        second.learn(theirs)
        first.learn(mine, [(theirs, 0)] + ([(second.published[number - 1], 1)] if number > 1 else []))
        if number in (4, 6):
            for node in (first, second):
                node.attestor.attempt(flush=True)
                assert node.attestor.report.problem is None
                assert node.attestor.report.attested_rounds == number
    own_anvil.rpc("anvil_mine", "0x3")
    return first, second


@dataclass
class Done:
    """How the command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def kubeswarm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command in this process."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["kubeswarm", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


def made(node: Trained, round: int, rollout: int | None = None) -> Receipt:
    """As `kubeswarm receipt` makes it."""
    attested = node.chain.attestations(node.swarm_id, node_id=node.node_id)
    holding = next(each for each in attested if each.first <= round <= each.last)
    records = node.records[holding.first - 1 : holding.last]
    published = None if rollout is None else node.volume.read(round).published()
    return receipts.make(node.chain, holding.uid, records, round, published, rollout or 0)


def test_every_round_and_rollout_has_a_receipt_that_holds_offline(pair):
    first, _ = pair
    for round in range(1, 7):
        for rollout in (None, 0, 5, 7):
            receipt = Receipt.model_validate_json(json.dumps(made(first, round, rollout).to_json()))
            anchor = receipts.check(receipt)
            block = first.anvil.rpc("eth_getBlockByNumber", hex(anchor.number), False)
            assert (block["hash"], int(block["timestamp"], 16)) == (anchor.hash, anchor.time)
            assert receipts.prove_on_chain(first.chain, receipt)
    with pytest.raises(InvalidRecord, match="rollouts 0 to 7"):
        made(first, 1, 8)


def leaves_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves_of(each, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, each in enumerate(value) for leaf in leaves_of(each, (*path, key))]
    return [path]


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    last = value[-1] if value else ""
    return value[:-1] + ("1" if last == "0" else "0")


def test_a_receipt_with_anything_changed_is_refused(pair):
    """Every value of it in turn: none may be another one; with another header the block is another, too."""
    first, _ = pair
    receipt = made(first, 6, 3)
    whole, real, accepted = receipt.to_json(), receipts.check(receipt), []
    paths = leaves_of(whole)
    assert len(paths) > 60
    for path in paths:
        damaged = json.loads(json.dumps(whole))
        inner = damaged
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = changed(inner[path[-1]])
        try:
            anchor = receipts.check(Receipt.model_validate(damaged))
        except (ValueError, InvalidRecord):  # the format itself may refuse it
            continue
        assert anchor.hash != real.hash, path
        accepted.append(path)
    assert accepted == [("state", "header")]


def test_other_records_make_no_receipt(pair):
    first, second = pair
    (holding, *_) = first.chain.attestations(first.swarm_id, node_id=first.node_id)
    with pytest.raises(InvalidRecord, match="give all of them"):
        receipts.make(first.chain, holding.uid, first.records[:3], 1, None)
    other = [first.records[0].model_copy(update={"reward": 7}), *first.records[1:4]]
    with pytest.raises(InvalidRecord, match="not those that attestation"):
        receipts.make(first.chain, holding.uid, other, 1, None)
    with pytest.raises(InvalidRecord, match="not those that round 1's record names"):
        receipts.make(first.chain, holding.uid, first.records[:4], 1, second.published[1])


def test_the_command_makes_and_checks_receipts(pair, kubeswarm, tmp_path):
    first, _ = pair
    url, file = first.anvil.url, tmp_path / "receipt.json"
    done = kubeswarm("receipt", first.data, "--round", 5, "--rollout", 2, "--out", file, "--chain-url", url)
    assert done.returncode == 0, done.stderr
    offline = kubeswarm("verify", file)
    assert offline.returncode == 0, offline.stderr
    assert "holds rollout 2 of 8" in offline.stdout
    anchor = receipts.check(Receipt.model_validate_json(file.read_bytes()))
    assert f"Not checked: that block {anchor.number} of chain 31337 is {anchor.hash}" in offline.stdout
    wrong = kubeswarm("verify", file, "--block-hash", "0x" + 64 * "1")
    assert wrong.returncode == 1 and "in the receipt, not" in wrong.stderr
    online = kubeswarm("verify", file, "--chain-url", url)
    assert online.returncode == 0 and "confirms the proof" in online.stdout
    first.anvil.rpc("anvil_reorg", 5, [])
    gone = kubeswarm("verify", file, "--chain-url", url)
    assert gone.returncode == 1 and "reorganised" in gone.stderr
    file.write_text(file.read_text().replace('"position": 2', '"position": 3'))
    forged = kubeswarm("verify", file)
    assert forged.returncode == 1 and "not number 3 of round 5" in forged.stderr


def test_the_lineage_of_a_model(pair):
    first, second = pair
    made = build(first.records[4].model_after, [first.volume, second.volume], first.chain)
    assert (made.node_id, made.base, made.attested_rounds, made.known_updates) == (
        first.node_id,
        to_hex(digest(b"base")),
        5,
        5,
    )
    assert [update.model_after for update in made.updates] == [each.model_after for each in first.records[:5]]
    uids = [each.uid for each in first.chain.attestations(first.swarm_id, node_id=first.node_id)]
    assert [update.attestation for update in made.updates] == [uids[0]] * 4 + [uids[1]]
    learnt = made.updates[2].contributions
    assert learnt is not None
    assert [(each.node_id, each.round, each.groups) for each in learnt] == [
        (first.node_id, 3, 2),
        (second.node_id, 3, 1),
        (second.node_id, 2, 1),
    ]
    assert all(each.proven for update in made.updates for each in update.contributions or [])
    assert sum(each.weight for each in learnt) == pytest.approx(1.0)
    assert {each.node_id for each in made.contributors} == {first.node_id, second.node_id}
    assert sum(each.weight for each in made.contributors) == pytest.approx(1.0)
    base = build(to_hex(digest(b"base")), [first.volume], None)
    assert (base.updates, base.chain_read) == ([], False)
    alone = build(first.model, [first.volume], first.chain)
    assert [each.proven for each in alone.updates[0].contributions or []] == [True, None]
    with pytest.raises(CommandError, match="no record of light-0 names the model"):
        build(NO_DIGEST, [first.volume], None)


def test_a_history_that_was_not_attested_is_found_out(pair):
    """Rollouts under another's name, records that were written anew, and a stored round that was replaced."""
    first, second = pair
    path = second.data / names.STORED_ROUNDS / file_name(3)
    stored = StoredRound.from_bytes(path.read_bytes())
    path.write_bytes(stored.model_copy(update={"own": [*stored.own[1:], stored.own[0]]}).to_bytes())
    made = build(first.model, [first.volume, second.volume], first.chain)
    proven = {each.round: each.proven for each in made.updates[2].contributions or [] if each.node_id == second.node_id}
    assert proven == {3: False, 2: True}

    spool = first.data / names.SPOOL
    other = first.records[5].model_copy(update={"reward": 1})
    (spool / "00000006.json").write_bytes(other.to_bytes())
    with pytest.raises(CommandError, match="holds other records of rounds 5 to 6"):
        build(first.model, [first.volume], first.chain)
    with pytest.raises(CommandError, match="belongs to another record"):
        build(first.model, [first.volume], None)


def test_the_command_tells_the_lineage(pair, kubeswarm):
    first, second = pair
    text = kubeswarm("lineage", first.model, first.data, second.data, "--chain-url", first.anvil.url)
    assert text.returncode == 0, text.stderr
    assert "6 of 6 attested; rollouts known of 6" in text.stdout
    plain = kubeswarm("lineage", first.model, first.data, "--json")
    assert plain.returncode == 0, plain.stderr
    assert json.loads(plain.stdout)["chainRead"] is False
    assert "give the path of a run" in kubeswarm("lineage", first.model).stderr
    assert from_hex(json.loads(plain.stdout)["base"]) == digest(b"base")
