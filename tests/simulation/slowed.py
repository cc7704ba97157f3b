"""The operator with a planted slowdown of 25 %: of each four requests one is followed by a needless one."""

import itertools
import sys
from typing import Any

from kubeswarm_operator.__main__ import main
from kubeswarm_operator.kube import Kube

EACH = 4


def plant() -> None:
    """Plants a list of one object after each fourth request."""
    send, serial = Kube._send, itertools.count(1)

    async def slowed(self: Kube, method: str, path: str, *rest: Any, **more: Any) -> Any:
        answer = await send(self, method, path, *rest, **more)
        if "/leases" not in path and next(serial) % EACH == 0:
            await send(self, "GET", "/apis/kubeswarm.dev/v1alpha1/swarms", params={"limit": "1"})
        return answer

    Kube._send = slowed


if __name__ == "__main__":
    plant()
    sys.exit(main())
