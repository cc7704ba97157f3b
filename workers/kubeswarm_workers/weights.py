"""Weights as they travel from the learner to the engines, and the digest that both must agree on."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

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
        """The tensor, over a copy of the bytes (what comes from the object store is read-only)."""
        return torch.from_numpy(self.data.copy()).view(getattr(torch, self.dtype)).view(self.shape)

    def digest(self) -> bytes:
        """SHA-256 of name, type, shape and bytes."""
        header = f"{self.name}\0{self.dtype}\0{','.join(map(str, self.shape))}\0".encode()
        hasher = hashlib.sha256(header)
        hasher.update(self.data.data)
        return hasher.digest()


def frozen(pack: Callable[[bool], Iterator[Packed]]) -> Callable[[bool], Iterator[Packed]]:
    """What `pack(changed_only)` gives now, whatever becomes of the policy: an engine that is replaced while an update
    is computed needs the weights before it. Costs a copy of the tensors that updates touch; the others are shared.
    """
    touched = {each.name: replace(each, data=each.data.copy()) for each in pack(True)}

    def again(changed_only: bool) -> Iterator[Packed]:
        if changed_only:
            return iter(touched.values())
        return (touched.get(each.name, each) for each in pack(False))

    return again


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
