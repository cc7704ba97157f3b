"""What `down` removes from the machine's packet filter: the cluster's chains and rules, and nothing else."""

from hack.cluster.network import removal_script

SAVED = """\
*mangle
:FORWARD ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A FORWARD -d 10.244.0.0/24 -m conntrack --ctstate NEW -m comment --comment kubeswarm -j NFQUEUE --queue-num 100
COMMIT
*filter
:INPUT ACCEPT [7:420]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -j DOCKER
-A FORWARD -s 10.244.0.0/24 -m comment --comment kubeswarm -j ACCEPT
-A DOCKER -d 172.17.0.2/32 -j ACCEPT
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
"""


def test_only_the_clusters_own_goes() -> None:
    assert removal_script(SAVED).splitlines() == [
        "*mangle",
        "-D FORWARD -d 10.244.0.0/24 -m conntrack --ctstate NEW -m comment --comment kubeswarm "
        "-j NFQUEUE --queue-num 100",
        "COMMIT",
        "*filter",
        ":KUBE-FORWARD - [0:0]",
        '-D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        "-D FORWARD -s 10.244.0.0/24 -m comment --comment kubeswarm -j ACCEPT",
        "-X KUBE-FORWARD",
        "COMMIT",
    ]


def test_a_machine_without_a_cluster_is_left_alone() -> None:
    others = "\n".join(line for line in SAVED.splitlines() if "KUBE" not in line and "kubeswarm" not in line)
    assert removal_script(others) == ""
