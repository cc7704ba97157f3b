"""The machine's network for a node: one address, forwarding, one masquerade rule; and their removal."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from hack.cluster.files import write_if_changed
from hack.cluster.layout import NODE_ADDRESS, POD_RANGE, SERVICE_RANGE, Layout
from hack.console import Problem, run

COMMENT = "kubeswarm"
#: The netfilter queue whose reader judges new connections by the network policies.
QUEUE = 100
# Chains of the kubelet, kube-proxy and the CNI plugins.
CLUSTER_CHAIN = re.compile(r"^(KUBE-|CNI-)")
NEW_CONNECTION = ("-m", "conntrack", "--ctstate", "NEW")

RULES = (
    ("nat", "POSTROUTING", ("-s", POD_RANGE, "!", "-d", POD_RANGE, "-j", "MASQUERADE")),
    # Where Docker runs, the chain's policy is to drop.
    ("filter", "FORWARD", ("-s", POD_RANGE, "-j", "ACCEPT")),
    ("filter", "FORWARD", ("-d", POD_RANGE, "-j", "ACCEPT")),
    # What kube-proxy has turned to no pod (yet) goes nowhere: outside, something else might answer at that address.
    *(("filter", chain, ("-d", SERVICE_RANGE, "-j", "REJECT")) for chain in ("FORWARD", "OUTPUT")),
    # Each new connection from or to a pod, at its real addresses (services are resolved by then); with nobody to judge
    # it, it is dropped. Not here: what the node says to its pods and they to it, which policies always allow.
    *(
        ("mangle", "FORWARD", (side, POD_RANGE, *NEW_CONNECTION, "-j", "NFQUEUE", "--queue-num", str(QUEUE)))
        for side in ("-s", "-d")
    ),
)


def check_ranges() -> None:
    """Raise Problem when the machine's own network uses the cluster's address ranges."""
    for line in run(["ip", "-4", "route", "show", "table", "main"]).splitlines():
        target = line.split()[0]
        ours = (SERVICE_RANGE[:5], POD_RANGE[:6])
        if target.startswith(ours) and "veth" not in line:
            raise Problem(f"the machine routes {target} itself, inside the cluster's {SERVICE_RANGE} or {POD_RANGE}")


def set_up(layout: Layout) -> None:
    """Bring the node's address, forwarding, the CNI configuration and the packet filter rules about."""
    if NODE_ADDRESS not in run(["ip", "-4", "address", "show", "dev", "lo"]):
        run(["ip", "address", "add", f"{NODE_ADDRESS}/32", "dev", "lo"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for table, chain, rule in RULES:
        if not _has_rule(table, chain, rule):
            run(["iptables", "-w", "-t", table, "-I", chain, *_tagged(rule)])
    write_if_changed(layout.config / "cni" / "10-kubeswarm.conflist", json.dumps(_cni(layout), indent=1))


def tear_down() -> None:
    """Remove the node's address and every chain and rule of the cluster; all other rules stay as they are."""
    if NODE_ADDRESS in run(["ip", "-4", "address", "show", "dev", "lo"]):
        run(["ip", "address", "del", f"{NODE_ADDRESS}/32", "dev", "lo"])
    for program in ("iptables", "ip6tables"):
        saved = subprocess.run([f"{program}-save"], capture_output=True, text=True, check=False)
        removal = removal_script(saved.stdout)
        if removal:
            run([f"{program}-restore", "-w", "--noflush"], text=removal)


def removal_script(saved: str) -> str:
    """Input for `iptables-restore --noflush` that takes the cluster's chains and rules out of a saved rule set."""
    script: list[str] = []
    chains: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            chains = []
            script.append(line)
        elif line.startswith(":"):
            name = line[1:].split()[0]
            if CLUSTER_CHAIN.match(name):
                chains.append(name)
                script.append(f":{name} - [0:0]")  # also empties it
        elif line.startswith("-A"):
            words = line.split()
            inside = CLUSTER_CHAIN.match(words[1])
            jump = words[words.index("-j") + 1] if "-j" in words else ""
            if not inside and (CLUSTER_CHAIN.match(jump) or f"--comment {COMMENT} " in line):
                script.append(f"-D{line[2:]}")
        elif line == "COMMIT":
            script += [f"-X {name}" for name in chains]
            script.append(line)
    changes = any(line.startswith(("-D", "-X")) for line in script)
    return "\n".join(script) + "\n" if changes else ""


def _has_rule(table: str, chain: str, rule: tuple[str, ...]) -> bool:
    command = ["iptables", "-w", "-t", table, "-C", chain, *_tagged(rule)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _tagged(rule: tuple[str, ...]) -> list[str]:
    target = rule.index("-j")
    return [*rule[:target], "-m", "comment", "--comment", COMMENT, *rule[target:]]


def _cni(layout: Layout) -> dict[str, object]:
    # Point-to-point links route every packet through the host, so that service addresses work between pods with no
    # bridge and none of its kernel modules, and that the rules above see what pods of one node say to each other.
    addresses = {
        "type": "host-local",
        "dataDir": str(layout.run / "cni"),
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "kubeswarm",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }
