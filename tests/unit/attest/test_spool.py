"""The spool holds each finished round whole, once, and nothing that is not the Node's own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubeswarm_api.encoding import to_hex
from kubeswarm_api.errors import InvalidRecord
from kubeswarm_api.records import NO_DIGEST, RoundRecord
from kubeswarm_workers.attest.spool import Author, Spool, append

AUTHOR = Author(31337, "0x" + "33" * 20, "0x" + "ab" * 32, "0x" + "11" * 20)


def record_of(number: int, previous: str = NO_DIGEST, **fields) -> RoundRecord:
    values = {
        "chain_id": AUTHOR.chain_id,
        "registry": AUTHOR.registry,
        "swarm_id": AUTHOR.swarm_id,
        "node_id": AUTHOR.node_id,
        "round": number,
        "previous": previous,
        "config": "0x" + "01" * 32,
        "model_before": "0x" + "02" * 32,
        "model_after": "0x" + "03" * 32,
        "rollouts_root": "0x" + "04" * 32,
        "samples": 96,
        "reward": 250_000,
        "tokens": 1900,
    }
    return RoundRecord(**(values | fields))


def chain_of(count: int) -> list[RoundRecord]:
    records: list[RoundRecord] = []
    previous = NO_DIGEST
    for number in range(1, count + 1):
        records.append(record_of(number, previous))
        previous = to_hex(records[-1].digest())
    return records


@pytest.fixture
def spool(tmp_path) -> Spool:
    return Spool(tmp_path / "spool", AUTHOR)


def test_what_is_written_is_read_in_order(spool):
    assert spool.advance() == 0
    records = chain_of(5)
    for record in records[:3]:
        append(spool.directory, record)
    assert spool.advance() == 3
    for record in records[3:]:
        append(spool.directory, record)
    assert spool.advance() == 5 and spool.damage is None
    assert spool.read(2, 4) == records[1:4]
    assert Spool(spool.directory, AUTHOR).advance() == 5
    assert 0 <= spool.age(5) < 60 and spool.age(6) == 0.0
    assert spool.room() > 0
    later = time.time() + 3600  # as after a clock that was set back
    os.utime(spool.directory / "00000005.json", (later, later))
    assert spool.age(5) == 0.0


def test_a_finished_round_never_changes(spool):
    first = record_of(1)
    append(spool.directory, first)
    append(spool.directory, first)
    with pytest.raises(InvalidRecord, match="holds another record of round 1"):
        append(spool.directory, record_of(1, samples=95))
    spool.advance()
    assert spool.read(1, 1) == [first]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", 1),
        ("registry", "0x" + "44" * 20),
        ("swarm_id", "0x" + "44" * 32),
        ("node_id", "0x" + "44" * 20),
        ("previous", "0x" + "44" * 32),
    ],
)
def test_records_of_someone_else_stop_it_there(spool, field, value):
    records = chain_of(3)
    append(spool.directory, records[0])
    append(spool.directory, records[1].model_copy(update={field: value}))
    append(spool.directory, records[2])
    assert spool.advance() == 1
    assert field in spool.damage or "does not name the digest" in spool.damage
    (spool.directory / "00000002.json").write_bytes(records[1].to_bytes())
    assert spool.advance() == 3 and spool.damage is None


def test_files_that_are_no_records_stop_it_there(spool):
    append(spool.directory, record_of(1))
    second = spool.directory / "00000002.json"
    for content in (b"", b"{}", b"x" * 5000, record_of(3).to_bytes()):
        second.write_bytes(content)
        assert spool.advance() == 1 and spool.damage
    second.unlink()
    os.mkfifo(second)
    assert spool.advance() == 1 and spool.damage
    second.unlink()
    second.symlink_to("/dev/zero")
    assert spool.advance() == 1 and spool.damage
    second.unlink()
    assert spool.advance() == 1 and spool.damage is None


WRITER = """
import sys, pathlib
sys.path.insert(0, {tests!r})
from test_spool import chain_of
from kubeswarm_workers.attest.spool import append
directory = pathlib.Path(sys.argv[1])
for record in chain_of(20000):
    append(directory, record)
"""


def test_a_writer_that_is_killed_leaves_whole_records_only(tmp_path):
    """SIGKILL at ten random instants; each time the next writer starts again from the first round."""
    program = WRITER.format(tests=str(Path(__file__).parent))
    spool = Spool(tmp_path, AUTHOR)
    reached = 0
    for attempt in range(10):
        writer = subprocess.Popen([sys.executable, "-c", program, tmp_path])
        deadline = time.monotonic() + 60
        while spool.advance() <= reached:
            assert spool.damage is None
            assert time.monotonic() < deadline and writer.poll() is None
        time.sleep(0.003 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        fresh = Spool(tmp_path, AUTHOR)
        reached = fresh.advance()
        assert fresh.damage is None
        assert len(list(tmp_path.glob("*.json"))) == reached
