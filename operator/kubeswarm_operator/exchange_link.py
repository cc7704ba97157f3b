"""The exchange as passes see it: the keys that credentials are minted from, and Swarms' streams."""

import asyncio
import logging
import time
from base64 import b64decode, b64encode
from collections.abc import Callable

from kubeswarm_api.conditions import Reason
from kubeswarm_api.encoding import digest
from kubeswarm_api.errors import KubeSwarmError
from kubeswarm_api.failures import FAILURES
from kubeswarm_api.names import APP, APP_LABEL
from kubeswarm_api.operator_config import ExchangeSettings
from kubeswarm_operator.exchange import (
    ExchangeUnavailable,
    Keyring,
    admin_credentials,
    delete_stream,
    ensure_stream,
    nats_conf,
    new_keyring,
    node_credentials,
)
from kubeswarm_operator.kube import Conflict, Kube
from kubeswarm_operator.observe.snapshot import ExchangeFacts
from kubeswarm_operator.resources import SECRETS, Object

log = logging.getLogger(__name__)
#: Seconds between looks at each stream: it may have been lost with the server's disk.
CHECK_SECONDS = 60.0
#: The server's configuration in its Secret.
CONF_KEY = "nats.conf"


class ExchangeLink:
    """`facts` is what was seen last. Without settings it does nothing."""

    def __init__(
        self,
        settings: ExchangeSettings | None,
        namespace: str,
        swarm_ids: Callable[[], set[str]],
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._swarm_ids = swarm_ids
        self._changed = changed
        self._keyring: Keyring | None = None
        self._checked: dict[str, float] = {}
        self.facts = ExchangeFacts(configured=settings is not None)

    @property
    def url(self) -> str | None:
        """The server that pods connect to; None if there is no exchange."""
        return self._settings.url if self._settings else None

    async def prepare(self, kube: Kube) -> None:
        """Reads the server's Secret, and makes it if it is absent, which needs the Lease. Raises KubeSwarmError."""
        if self._settings is None:
            return
        try:
            self._keyring = await self._read(kube, self._settings)
        except KubeSwarmError as error:
            message = f"Secret {self._settings.secret} can't be used: {error}"
            self.facts = ExchangeFacts(configured=True, asked=True, message=message)
            raise

    async def _read(self, kube: Kube, settings: ExchangeSettings) -> Keyring:
        live = await kube.get(SECRETS, self._namespace, settings.secret)
        if live is None:
            try:
                live = await kube.create(self._secret(settings, new_keyring()))
                log.info("made the exchange's keys", extra={"secret": settings.secret})
            except Conflict:
                live = await kube.get(SECRETS, self._namespace, settings.secret)
        data = {key: b64decode(value).decode() for key, value in ((live or {}).get("data") or {}).items()}
        keyring = Keyring.from_secret(data)
        if data.get(CONF_KEY) != nats_conf(keyring):  # made by another version: the server reads it when it starts
            patch = {"data": {CONF_KEY: _encoded(nats_conf(keyring))}}
            await kube.merge(SECRETS, self._namespace, settings.secret, patch)
            log.info("brought the exchange server's configuration up to date", extra={"secret": settings.secret})
        return keyring

    def _secret(self, settings: ExchangeSettings, keyring: Keyring) -> Object:
        plain = {
            **keyring.to_secret(),
            CONF_KEY: nats_conf(keyring),
            "admin.creds": admin_credentials(keyring),
        }
        return {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {"namespace": self._namespace, "name": settings.secret, "labels": {APP_LABEL: APP}},
            "type": "Opaque",
            "data": {key: _encoded(value) for key, value in plain.items()},
        }

    def minted_for(self, swarm_id: str, node_id: str) -> str | None:
        """What a Node's credentials depend on; None while there is nothing to mint them with."""
        if self._keyring is None:
            return None
        return digest("\0".join((self._keyring.nodes, swarm_id, node_id)).encode()).hex()[:32]

    def credentials(self, swarm_id: str, node_id: str) -> str:
        """Fresh credentials for a Node."""
        assert self._keyring is not None
        return node_credentials(self._keyring, swarm_id, node_id)

    async def poll(self) -> None:
        """Keeps every Swarm's stream there, for ever; returns at once if there is no exchange. Call `prepare` first."""
        if self._settings is None:
            return
        while True:
            before = self.facts
            self.facts = await self._round(self._settings)
            if self.facts != before:
                self._changed()
            await asyncio.sleep(5.0)

    async def _round(self, settings: ExchangeSettings) -> ExchangeFacts:
        assert self._keyring is not None
        self._checked = {each: self._checked.get(each, float("-inf")) for each in self._swarm_ids()}
        now = time.monotonic()
        by_age = sorted(self._checked, key=lambda each: (self._checked[each], each))
        due = [each for each in by_age if now - self._checked[each] > CHECK_SECONDS]
        due = due or by_age[:1]  # or an outage would be heard of only when the next one is
        for swarm_id in due:
            try:
                await ensure_stream(settings.url, admin_credentials(self._keyring), swarm_id, settings.stream_max_bytes)
            except ExchangeUnavailable as error:
                remedy = FAILURES[Reason.EXCHANGE_UNREACHABLE].remedy
                message = f"{error}; Nodes train on their own groups meanwhile; {remedy}"
                return ExchangeFacts(configured=True, asked=True, message=message)
            self._checked[swarm_id] = time.monotonic()
        if due or self.facts.reachable:
            return ExchangeFacts(configured=True, asked=True, reachable=True)
        return self.facts

    async def drop(self, swarm_id: str) -> None:
        """Deletes a Swarm's stream. Raises ExchangeUnavailable."""
        if self._settings is not None and self._keyring is not None:
            self._checked.pop(swarm_id, None)
            await delete_stream(self._settings.url, admin_credentials(self._keyring), swarm_id)


def _encoded(value: str) -> str:
    return b64encode(value.encode()).decode()
