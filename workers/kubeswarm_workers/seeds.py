"""Seeds from what a draw is for, so that nothing depends on the order in which things happen."""

import hashlib


def seed_of(*parts: str | int) -> int:
    """A seed below 2^62 from labels and numbers: the same parts give the same seed, anywhere."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2
