"""Merkle trees: every leaf can be proven where it is, nothing else can."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api import merkle

digests = st.binary(min_size=32, max_size=32)
trees = st.lists(digests, min_size=1, max_size=40, unique=True)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def split(leaves: list[bytes]) -> bytes:
    """The tree's top as RFC 9162 defines it: by the largest power of two below the size."""
    if len(leaves) == 1:
        return sha(b"\0", leaves[0])
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha(b"\1", split(leaves[:half]), split(leaves[half:]))


def test_the_root_of_nothing_is_zero() -> None:
    assert merkle.root([]) == bytes(32)


def test_three_leaves_by_hand() -> None:
    a, b, c = (bytes([n]) * 32 for n in (3, 1, 2))
    top = sha(b"\1", sha(b"\1", sha(b"\0", a), sha(b"\0", b)), sha(b"\0", c))
    assert merkle.root([a, b, c]) == sha(b"\2", bytes(7), b"\3", top)


@given(st.lists(digests, min_size=1, max_size=40))
def test_the_tree_is_that_of_certificate_transparency(tree: list[bytes]) -> None:
    assert merkle.root(tree) == sha(b"\2", len(tree).to_bytes(8, "big"), split(tree))


@given(trees, st.data())
def test_every_leaf_is_proven_by_its_path(tree: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) - 1))
    assert merkle.verify(tree[position], position, len(tree), merkle.proof(tree, position), merkle.root(tree))


@given(trees, digests, st.data())
def test_a_stranger_is_not_proven_by_any_path(tree: list[bytes], stranger: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) - 1))
    if stranger not in tree:
        path = merkle.proof(tree, position)
        assert not merkle.verify(stranger, position, len(tree), path, merkle.root(tree))


@given(trees, st.data())
def test_a_path_means_one_position_and_one_size(tree: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) - 1))
    path, root = merkle.proof(tree, position), merkle.root(tree)
    elsewhere = data.draw(st.integers(-1, 50))
    size = data.draw(st.integers(0, 50))
    if (elsewhere, size) != (position, len(tree)):
        assert not merkle.verify(tree[position], elsewhere, size, path, root)


@given(st.lists(digests, min_size=3, max_size=40, unique=True), st.data())
def test_an_inner_node_is_not_a_leaf(tree: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) // 2 - 1)) * 2
    inner = sha(b"\1", sha(b"\0", tree[position]), sha(b"\0", tree[position + 1]))
    shorter = merkle.proof(tree, position)[1:]
    for size in ((len(tree) + 1) // 2, len(tree)):
        assert not merkle.verify(inner, position // 2, size, shorter, merkle.root(tree))


@given(trees, st.data())
def test_a_path_that_is_too_long_or_too_short_is_none(tree: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(tree) - 1))
    path, root = merkle.proof(tree, position), merkle.root(tree)
    assert not merkle.verify(tree[position], position, len(tree), [*path, bytes(32)], root)
    if path:
        assert not merkle.verify(tree[position], position, len(tree), path[:-1], root)


def test_a_leaf_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="leaf 1 has 31 bytes"):
        merkle.root([bytes(32), bytes(31)])
    with pytest.raises(IndexError):
        merkle.proof([bytes(32)], 1)
