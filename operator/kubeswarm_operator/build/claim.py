"""The claim of a Node's checkpoints and spool; an object of its own, so that it may grow."""

from kubeswarm_api.names import claim_name
from kubeswarm_api.spec_training import Storage
from kubeswarm_operator.build.meta import Owner, manifest
from kubeswarm_operator.resources import CLAIMS, Object


def claim(owner: Owner, storage: Storage) -> Object:
    """The PersistentVolumeClaim."""
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage.size}}}
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return manifest(CLAIMS, owner, claim_name(owner.name), {"spec": spec})
