"""What the applier does without asking anybody."""

import asyncio
from typing import Any, cast

import pytest

from kubeswarm_operator.apply import Applier
from kubeswarm_operator.build.meta import Owner
from kubeswarm_operator.build.secrets import ray_secret
from kubeswarm_operator.decide.children import stamped
from kubeswarm_operator.kube import Unavailable
from kubeswarm_operator.observe.store import Store


def test_a_secret_without_content_is_never_made() -> None:
    """It has gone since its content was made: to make it without would leave pods without a token."""
    nobody = cast(Any, None)
    secret = stamped(ray_secret(Owner("research", "light-0", "uid-0", "light")))
    with pytest.raises(Unavailable, match="Secret light-0-ray has just gone"):
        asyncio.run(Applier(nobody, Store()).apply([secret]))
