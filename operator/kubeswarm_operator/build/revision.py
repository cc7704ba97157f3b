"""The revision that a Node goes back to: a ControllerRevision, because nobody can change what is in one."""

from collections.abc import Sequence

from kubeswarm_api.names import earlier_name
from kubeswarm_operator.build.meta import Owner, manifest
from kubeswarm_operator.resources import CONTROLLER_REVISIONS, Object

#: Which revision it holds.
REVISION_ANNOTATION = "kubeswarm.dev/revision"


def controller_revision(owner: Owner, revision: str, generation: int, objects: Sequence[Object]) -> Object:
    """`objects`: the Node's live ones of that revision; `generation`: of the Node, when it was kept."""
    body = {"data": {"objects": list(objects)}, "revision": generation}
    annotations = {REVISION_ANNOTATION: revision}
    return manifest(CONTROLLER_REVISIONS, owner, earlier_name(owner.name), body, annotations=annotations)
