"""From wanted manifests to the API: server-side apply, and only where the live object isn't what we want."""

import logging
from collections.abc import Iterable, Mapping

from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_operator.decide.children import APPLIED_ANNOTATION, differs, obsolete, stamped
from kubeswarm_operator.kube import ApiError, Kube, Unavailable
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import Object, resource_of

log = logging.getLogger(__name__)


class Refused(ApiError):
    """The API server refused a manifest for what is in it."""


class Applier:
    """Writes objects, and puts the answers into the store at once, so that the next pass sees them."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self._kube = kube
        self._store = store
        self._settled: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def apply(self, manifests: Iterable[Object]) -> int:
        """Brings each object to its manifest; returns how many were written. Raises Refused after having tried all."""
        written, refusal = 0, None
        for manifest in map(stamped, manifests):
            try:
                written += await self._apply_one(manifest)
            except Unavailable:
                raise
            except ApiError as error:
                refusal = refusal or self._refused(manifest, error)
        if refusal:
            raise refusal
        return written

    async def _apply_one(self, manifest: Object) -> bool:
        resource, meta = resource_of(manifest), manifest["metadata"]
        live = self._store.get(resource, meta["namespace"], meta["name"])
        key = (manifest["kind"], meta["namespace"], meta["name"])
        if not differs(live, manifest):
            return False
        stamp = meta["annotations"][APPLIED_ANNOTATION]
        if live is not None:
            if "deletionTimestamp" in live["metadata"]:
                return False  # going: its deletion brings the next pass
            if self._settled.get(key) == (stamp, _content(live)):
                return False  # the server, or a webhook, has said otherwise to the same manifest
        answer = await self._kube.apply(manifest)
        self._store.put(resource, answer)
        if differs(self._store.get(resource, meta["namespace"], meta["name"]), manifest):
            self._settled[key] = (stamp, _content(answer))
        log.info("applied", extra={"object": f"{manifest['kind']}/{meta['namespace']}/{meta['name']}"})
        return True

    async def create(self, manifest: Object) -> Object:
        """Makes an object whose content is made once; raises Conflict if it exists."""
        answer = await self._kube.create(stamped(manifest))
        self._store.put(resource_of(manifest), answer)
        meta = manifest["metadata"]
        log.info("created", extra={"object": f"{manifest['kind']}/{meta['namespace']}/{meta['name']}"})
        return answer

    async def prune(self, live: Mapping[tuple[str, str], Object], wanted: Iterable[Object], owner_uid: str) -> int:
        """Deletes what the owner has and no longer wants; returns how many."""
        gone = obsolete(live, wanted, owner_uid)
        for body in gone:
            await self.delete(body)
        return len(gone)

    async def delete(self, body: Object) -> None:
        """Deletes one live object of this uid."""
        resource, meta = resource_of(body), body["metadata"]
        left = await self._kube.delete(resource, meta["namespace"], meta["name"], meta["uid"])
        if left is None:
            self._store.remove(resource, body)
        else:
            self._store.put(resource, left)
        log.info("deleted", extra={"object": f"{body['kind']}/{meta['namespace']}/{meta['name']}"})

    @staticmethod
    def _refused(manifest: Object, error: ApiError) -> Refused:
        meta = manifest["metadata"]
        return Refused(error.code, error.reason, f"{manifest['kind']} {meta['name']} was refused: {error}")


def _content(live: Object) -> str:
    """A digest of what a manifest can set."""
    meta = {key: live["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")}
    rest = {key: value for key, value in live.items() if key not in ("metadata", "status", "data")}
    return digest(canonical_json({**rest, "metadata": meta})).hex()
