"""What a Node takes from the exchange: every message is admitted or refused with a reason, and the inbox is bounded."""

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeswarm_api.encoding import canonical_msgpack
from kubeswarm_api.names import groups_subject
from kubeswarm_api.rollouts import DROP_REASONS
from kubeswarm_workers.exchange.admit import Refused, admit
from kubeswarm_workers.exchange.inbox import Inbox
from tests.unit.exchange.peers import SWARM, Notary, batch_of


def test_the_inbox_forgets_what_was_taken_and_counts_what_was_refused():
    members: set[str] = set()
    batch = batch_of(Notary(members), 1)
    inbox = Inbox(capacity=100)
    assert inbox.position is None
    assert inbox.take(5) == [] and inbox.position == 5
    inbox.put(6, batch, 60)
    assert not inbox.full
    inbox.refuse(7, "schema", 3)
    inbox.put(8, batch, 60)
    inbox.skip(9)
    assert inbox.full and inbox.position == 9
    assert [cursor for cursor, _ in inbox.take(5)] == [6, 8]
    assert [cursor for cursor, _ in inbox.take(6)] == [8]
    assert not inbox.full
    assert dict(inbox.dropped) == {"schema": 3}


NOTARY = Notary(set())
GOOD = batch_of(NOTARY, 1)


@settings(max_examples=300)
@given(st.data())
def test_no_bytes_whatever_get_an_exception_out(data):
    """Cut, changed and made-up messages are refused with a known reason, or are the good one."""
    encoded = bytearray(GOOD.encode())
    kind = data.draw(st.sampled_from(["bytes", "flip", "cut", "values"]))
    if kind == "bytes":
        message = data.draw(st.binary(max_size=200))
    elif kind == "flip":
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = data.draw(st.integers(0, 255))
        message = bytes(encoded)
    elif kind == "cut":
        message = bytes(encoded[: data.draw(st.integers(0, len(encoded)))])
    else:
        value = GOOD.model_dump()
        field = data.draw(st.sampled_from(["reward", "tokens", "logprobs", "truncated"]))
        odd = st.one_of(st.none(), st.floats(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=5), st.booleans())
        value["batch"]["groups"][0]["completions"][0][field] = data.draw(st.one_of(odd, st.lists(odd, max_size=3)))
        message = msgpack.packb(value, use_bin_type=True) or b""
    found = admit(message, groups_subject(SWARM, NOTARY.node_id), SWARM, NOTARY)
    if isinstance(found, Refused):
        assert found.reason in DROP_REASONS and found.groups >= 1
    else:
        assert found.batch.root() == GOOD.batch.root()


def test_a_message_over_the_limit_is_refused_unread():
    found = admit(bytes(5 * 1024 * 1024), groups_subject(SWARM, NOTARY.node_id), SWARM, NOTARY)
    assert isinstance(found, Refused) and found.reason == "size"
    deep = canonical_msgpack("x")
    for _ in range(500):
        deep = b"\x91" + deep
    found = admit(deep, groups_subject(SWARM, NOTARY.node_id), SWARM, NOTARY)
    assert isinstance(found, Refused) and found.reason == "schema"
