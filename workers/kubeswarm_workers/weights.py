"""Weights as they travel from the learner to the engines, and the digest that both must agree on."""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kubeswarm_api.encoding import digest

#: Bytes of one message: bounds what the object store must hold at a time.
CHUNK_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Packed:
    """One tensor by its name in the checkpoint format; `data` holds its bytes in C order, shape (bytes,), uint8."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: NDArray[np.uint8]

    @classmethod
    def pack(cls, name: str, tensor: torch.Tensor) -> "Packed":
        """A view of `tensor`'s memory where that is contiguous on the CPU, else a copy."""
        flat = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        return cls(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), flat)

    def unpack(self) -> torch.Tensor:
        """The tensor over these bytes, to be read alone: they may be the object store's."""
        with warnings.catch_warnings(action="ignore"):  # torch has no read-only tensors, and says so
            return torch.from_numpy(self.data).view(getattr(torch, self.dtype)).view(self.shape)

    def digest(self) -> bytes:
        """SHA-256 of name, type, shape and bytes."""
        header = f"{self.name}\0{self.dtype}\0{','.join(map(str, self.shape))}\0".encode()
        hasher = hashlib.sha256(header)
        hasher.update(self.data.data)
        return hasher.digest()


class Snapshot:
    """A policy's weights at one moment, ready to travel, and their digests: whatever becomes of the policy.

    What updates touch is kept, which takes the memory of these tensors; the rest stays where the policy has it.
    """

    def __init__(self, pack: Callable[[bool], Iterator[Packed]], before: "Snapshot | None" = None) -> None:
        """`pack(changed_only)`: the tensors as they are now; those that updates touch are copies.

        `before`: one of the same policy, whose digests of what no update touches still hold.
        """
        self._pack = pack
        self._touched: dict[str, Packed] = {}
        digests = digests_of(self._keep(pack(True)))
        if before is None:
            untouched = digests_of(each for each in pack(False) if each.name not in self._touched)
        else:
            untouched = before._digests
        self._digests = untouched | digests

    def _keep(self, tensors: Iterator[Packed]) -> Iterator[Packed]:
        for each in tensors:
            self._touched[each.name] = each
            yield each

    @property
    def digest(self) -> bytes:
        """That of the whole policy."""
        return policy_digest(self._digests)

    def tensors(self, changed_only: bool) -> Iterator[Packed]:
        """All of them, or what updates touch."""
        if changed_only:
            return iter(self._touched.values())
        return (self._touched.get(each.name, each) for each in self._pack(False))


def digests_of(tensors: Iterable[Packed]) -> dict[str, bytes]:
    """The digests of tensors by their names, on as many threads as torch has, while the next ones are still made."""
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        found = {each.name: threads.submit(each.digest) for each in tensors}
    return {name: each.result() for name, each in found.items()}


def policy_digest(digests: Mapping[str, bytes]) -> bytes:
    """The digest of a whole policy from the digests of its tensors, in the order of their names."""
    return digest(b"kubeswarm/policy/1" + b"".join(digests[name] for name in sorted(digests)))


def chunks(tensors: Iterable[Packed]) -> Iterator[list[Packed]]:
    """The same tensors in order, in lists of at most CHUNK_BYTES (a larger tensor makes a list of its own)."""
    chunk: list[Packed] = []
    size = 0
    for tensor in tensors:
        if chunk and size + tensor.data.nbytes > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(tensor)
        size += tensor.data.nbytes
    if chunk:
        yield chunk
