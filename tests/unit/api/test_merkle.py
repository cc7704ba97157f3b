"""Merkle trees: every leaf can be proven, nothing else can."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api import merkle

leaves = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


def test_the_root_of_nothing_is_zero_and_of_one_leaf_is_the_leaf() -> None:
    assert merkle.root([]) == bytes(32)
    assert merkle.root([b"\x07" * 32]) == b"\x07" * 32


def test_three_leaves_by_hand() -> None:
    a, b, c = (bytes([n]) * 32 for n in (3, 1, 2))
    ab = hashlib.sha256(b + a).digest()
    assert merkle.root([a, b, c]) == hashlib.sha256(min(ab, c) + max(ab, c)).digest()


@given(leaves, st.data())
def test_every_leaf_is_proven_by_its_path(tree: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) - 1))
    assert merkle.verify(tree[position], merkle.proof(tree, position), merkle.root(tree))


@given(leaves, st.binary(min_size=32, max_size=32), st.data())
def test_a_stranger_is_not_proven_by_any_path(tree: list[bytes], stranger: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) - 1))
    if stranger not in tree:
        assert not merkle.verify(stranger, merkle.proof(tree, position), merkle.root(tree))


def test_a_leaf_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="leaf 1 has 31 bytes"):
        merkle.root([bytes(32), bytes(31)])
    with pytest.raises(IndexError):
        merkle.proof([bytes(32)], 1)
