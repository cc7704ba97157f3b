"""Installing the chart and removing it, by helm."""

import json
from collections.abc import Mapping

from hack.cluster.layout import REPOSITORY
from hack.console import Problem, say
from hack.demo.target import Target

CHART = REPOSITORY / "charts" / "kubeswarm"
VALUES = REPOSITORY / "hack" / "demo" / "values.yaml"
RELEASE = "kubeswarm"
NAMESPACE = "kubeswarm-system"
PATIENCE = "10m"
#: Images of which the tag stays the same when they don't, and whose pods' annotations restart them then.
RESTARTED = {"operator": "operator", "chain": "devChain", "nats": "nats"}


def install(target: Target, builds: Mapping[str, str]) -> None:
    """Install the chart or bring the release up to date, and wait until all of it is ready. Raises Problem."""
    _settle(target)
    words = ["upgrade", "--install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--create-namespace"]
    words += ["--values", str(VALUES), "--wait", "--timeout", PATIENCE]
    for image, values in RESTARTED.items():
        if image in builds:
            words += ["--set-string", f"{values}.podAnnotations.kubeswarm\\.dev/build={builds[image]}"]
    target.run_helm(*words)


def uninstall(target: Target) -> None:
    """Remove the release with its namespace, and the CRDs unless Swarms or Nodes of others are left. Raises Problem."""
    if _state(target) is not None:
        target.run_helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", PATIENCE)
    target.run_kubectl("delete", "--ignore-not-found", f"namespace/{NAMESPACE}", "--timeout=180s")
    for plural in ("swarmnodes", "swarms"):
        crd = f"customresourcedefinition/{plural}.kubeswarm.dev"
        if not target.run_kubectl("get", "--ignore-not-found", "--output=name", crd):
            continue
        left = target.run_kubectl("get", plural, "--all-namespaces", "--output=name").split()
        if left:
            say(f"keeping {crd}: there are {', '.join(left[:5])}")
        else:
            target.run_kubectl("delete", crd, "--timeout=180s")


def _state(target: Target) -> str | None:
    """helm's word for the release's state; None where there is no release."""
    try:
        return json.loads(target.run_helm("status", RELEASE, "--namespace", NAMESPACE, "--output", "json"))["info"][
            "status"
        ]
    except Problem as problem:
        if "not found" in str(problem):
            return None
        raise


def _settle(target: Target) -> None:
    """helm refuses to touch a release whose installation or upgrade was interrupted: undo what was begun."""
    state = _state(target)
    if state == "pending-install":
        say("an installation was interrupted: removing what it left")
        target.run_helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", PATIENCE)
    elif state in ("pending-upgrade", "pending-rollback"):
        say("an upgrade was interrupted: going back to the release before it")
        target.run_helm("rollback", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", PATIENCE)
    elif state == "uninstalling":
        raise Problem(f"release {RELEASE} is being uninstalled: wait for it, or run `make demo-down` first")
