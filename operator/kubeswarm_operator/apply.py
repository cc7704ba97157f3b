"""From wanted manifests to the API, only where the live object isn't what we want.

An object is created, so that one of somebody else's under the same name is refused instead of merged into, and from
then on changed by server-side apply.
"""

import logging
from collections.abc import Iterable, Mapping

from kubeswarm_api.conditions import Reason
from kubeswarm_api.encoding import canonical_json, digest
from kubeswarm_api.names import FIELD_MANAGER
from kubeswarm_operator.decide.children import APPLIED_ANNOTATION, controls, differs, obsolete, stamped
from kubeswarm_operator.decide.health import Problem, refusal_of
from kubeswarm_operator.kube import ApiError, Conflict, Kube, Unavailable
from kubeswarm_operator.observe.parsing import Memo
from kubeswarm_operator.observe.store import Store
from kubeswarm_operator.resources import SECRETS, Object, Resource, resource_of

log = logging.getLogger(__name__)
#: Objects of which it is remembered that server-side apply owns their fields.
_REMEMBERED = 50_000


#: What the API server says of a webhook that it could not ask, and of a field that a definition lacks, with a code that
#: else means: try again.
_NO_OVERLOAD = ("failed calling webhook", "field not declared in schema")


class Refused(ApiError):
    """The API server refused a manifest for what is in it."""

    @property
    def problem(self) -> Problem:
        """For conditions: by what the API server said."""
        return refusal_of(str(self), Reason.API_REFUSED)


class NameTaken(Refused):
    """An object of that name exists and is somebody else's."""

    @property
    def problem(self) -> Problem:
        """For conditions."""
        return Problem(Reason.NAME_TAKEN, str(self))


class Applier:
    """Writes objects, and puts the answers into the store at once, so that the next pass sees them."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self._kube = kube
        self._store = store
        self._settled: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._same: Memo[None] = Memo(_REMEMBERED)  # live objects that were found to be as their manifest
        self._applied: set[str] = set()

    async def apply(self, manifests: Iterable[Object]) -> int:
        """Brings each object to its stamped manifest; returns how many were written.

        Raises Refused after having tried all.
        """
        written, refusal = 0, None
        for manifest in manifests:
            try:
                written += await self._apply_one(manifest)
            except Conflict as error:  # of a write: it says nothing against the manifest
                name = manifest["metadata"]["name"]
                raise Unavailable(409, error.reason, f"{manifest['kind']} {name} was changed meanwhile") from error
            except ApiError as error:
                if isinstance(error, Unavailable) and not any(words in str(error) for words in _NO_OVERLOAD):
                    raise
                refusal = refusal or self._refused(manifest, error)
        if refusal:
            raise refusal
        return written

    async def _apply_one(self, manifest: Object) -> bool:
        resource, meta = resource_of(manifest), manifest["metadata"]
        live = self._store.get(resource, meta["namespace"], meta["name"])
        if live is None:
            if resource == SECRETS and not manifest.get("data"):  # whoever makes its content makes it
                raise Unavailable(404, "NotFound", f"Secret {meta['name']} has just gone")
            try:
                await self.create(manifest)
                return True
            except Conflict:
                live = await self._ours(resource, manifest)
        stamp = meta["annotations"][APPLIED_ANNOTATION]
        known = (live["metadata"].get("resourceVersion"), stamp)
        if self._same.has(live["metadata"]["uid"], known):
            return False
        if not differs(live, manifest) or "deletionTimestamp" in live["metadata"]:
            self._same.put(live["metadata"]["uid"], known, None)
            return False  # if it is going, its end brings the next pass
        key = (manifest["kind"], meta["namespace"], meta["name"])
        if self._settled.get(key) == (stamp, _content(live)):
            return False  # the server, or a webhook, has said otherwise to the same manifest
        answer = await self._write(resource, live, manifest)
        self._store.put(resource, answer)
        if differs(self._store.get(resource, meta["namespace"], meta["name"]), manifest):
            self._settled[key] = (stamp, _content(answer))
        self._tell("applied", answer)
        return True

    async def _write(self, resource: Resource, live: Object, manifest: Object) -> Object:
        if resource != SECRETS:
            await self._own_fields(resource, live)
            return await self._kube.apply(manifest)
        # by merging: a manifest without a Secret's content must never take the content away
        meta = manifest["metadata"]
        fields = {key: meta.get(key) for key in ("labels", "annotations", "ownerReferences")}
        patch = {"metadata": {"uid": live["metadata"]["uid"], **fields}, "data": manifest.get("data", {})}
        return await self._kube.merge(resource, meta["namespace"], meta["name"], patch)

    async def create(self, manifest: Object) -> Object:
        """Makes an object; raises Conflict if it exists."""
        answer = await self._kube.create(stamped(manifest))
        self._store.put(resource_of(manifest), answer)
        self._tell("created", answer)
        return answer

    async def _ours(self, resource: Resource, manifest: Object) -> Object:
        """The live object that was not known of, if it has the owner that the manifest names."""
        live = await self._look(resource, manifest)
        owners = manifest["metadata"].get("ownerReferences") or []
        if not owners or not controls(owners[0]["uid"], live):
            name = manifest["metadata"]["name"]
            detail = f"{manifest['kind']} {name} exists and belongs to somebody else: delete or rename it"
            raise NameTaken(409, "NameTaken", detail)
        self._store.put(resource, live)
        return live

    async def _look(self, resource: Resource, body: Object) -> Object:
        """One object as it is, with its field ownership. By a list, because that needs no further right."""
        meta = body["metadata"]
        found = await self._kube.list_all(resource, meta["namespace"], fieldSelector=f"metadata.name={meta['name']}")
        if not found:
            raise Unavailable(404, "NotFound", f"{body['kind']} {meta['name']} has just gone")
        return found[0]

    async def _own_fields(self, resource: Resource, live: Object) -> None:
        """Makes fields that were set at creation those of server-side apply: else it would never remove one."""
        uid = live["metadata"]["uid"]
        if uid in self._applied:
            return
        meta = (await self._look(resource, live))["metadata"]
        for index, entry in enumerate(meta.get("managedFields") or []):
            mine = entry["manager"] == FIELD_MANAGER and not entry.get("subresource")
            if mine and entry["operation"] == "Update":
                path = f"/metadata/managedFields/{index}"
                patch = [
                    {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
                    {"op": "replace", "path": f"{path}/operation", "value": "Apply"},
                ]
                await self._kube.edit(resource, meta["namespace"], meta["name"], patch)
        if len(self._applied) >= _REMEMBERED:
            self._applied.clear()
        self._applied.add(uid)

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
        self._tell("deleted", body)

    @staticmethod
    def _tell(what: str, body: Object) -> None:
        meta = body["metadata"]
        log.info(what, extra={"object": f"{body['kind']}/{meta['namespace']}/{meta['name']}"})

    @staticmethod
    def _refused(manifest: Object, error: ApiError) -> Refused:
        if isinstance(error, Refused):
            return error
        meta = manifest["metadata"]
        return Refused(error.code, error.reason, f"{manifest['kind']} {meta['name']} was refused: {error}")


def _content(live: Object) -> str:
    """A digest of what a manifest can set."""
    meta = {key: live["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")}
    rest = {key: value for key, value in live.items() if key not in ("metadata", "status", "data")}
    return digest(canonical_json({**rest, "metadata": meta})).hex()
