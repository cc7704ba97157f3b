"""What kopf is asked for: to list and to watch without end, over a session that hands the feed what comes.

No kopf handler does anything: nothing here writes, retries or keeps state on objects.
"""

import asyncio
import signal
from typing import Any

import kopf

from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_api.operator_config import OperatorConfig
from kubeswarm_operator.feed import SELECTOR, Feed
from kubeswarm_operator.resources import CHILDREN, PODS, WATCHED, Resource
from kubeswarm_operator.session import open_session

#: Seconds after which the API server ends a watch by itself.
WATCH_SERVER_TIMEOUT = 150
CHUNK = 500


def registrations(feed: Feed) -> kopf.OperatorRegistry:
    """All of kopf's handlers."""
    registry = kopf.OperatorRegistry()
    _login(registry, feed)
    for resource in WATCHED:
        _watch(registry, resource)
    return registry


def _login(registry: kopf.OperatorRegistry, feed: Feed) -> None:
    @kopf.on.login(registry=registry)
    async def session(**_: Any) -> kopf.AiohttpSession:
        opened, server = open_session(feed)
        return kopf.AiohttpSession(server=server, aiohttp_session=opened)


def _watch(registry: kopf.OperatorRegistry, resource: Resource) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)
    async def event(**_: Any) -> None:
        """kopf watches what it has a handler for. Nothing comes here: the session's listener has it all."""


async def watch(registry: kopf.OperatorRegistry, config: OperatorConfig, stop: asyncio.Event) -> None:
    """Watches until it is cancelled; signals set `stop`."""
    before = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(config.watch_silence_seconds),
        standalone=True,
        # Else kopf asks for the user's name, and a pod's uid has none. Its type is not among what kopf exports.
        identity=FIELD_MANAGER,  # pyright: ignore[reportArgumentType]
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
    )
    # In the place of kopf's own handlers, which leave tasks that aren't its own running for 5 seconds.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await kopf.run_tasks(tasks, ignored=before)


def _settings(silence: float) -> kopf.OperatorSettings:
    """kopf as a watcher and nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # no watching of CRDs and namespaces
    settings.watching.inactivity_timeout = silence
    settings.watching.server_timeout = WATCH_SERVER_TIMEOUT
    settings.watching.connect_timeout = 10.0
    settings.watching.chunk_size = CHUNK
    settings.watching.reconnect_backoff = 1.0
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 10.0
    for resource in (*CHILDREN, PODS):
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = SELECTOR
    return settings
