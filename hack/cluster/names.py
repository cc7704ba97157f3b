"""Whether the cluster's name service answers, asked the way a pod asks it."""

from __future__ import annotations

import socket
import struct

from hack.cluster.layout import SERVICE_DNS

NAME = "kubernetes.default.svc.cluster.local"
QUERY_ID = 0x6B73
RECURSION = 0x0100
TYPE_A, CLASS_IN = 1, 1
RESPONSE_CODE = 0x000F


def resolves(seconds: float = 1.0) -> bool:
    """Ask the service address over UDP: the answer takes the pod network, kube-proxy and CoreDNS together."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    query = struct.pack("!6H", QUERY_ID, RECURSION, 1, 0, 0, 0) + labels + struct.pack("!x2H", TYPE_A, CLASS_IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        try:
            client.sendto(query, (SERVICE_DNS, 53))
            answer = client.recv(512)
        except OSError:
            return False
    number, flags, _, answers = struct.unpack("!4H", answer[:8])
    return number == QUERY_ID and flags & RESPONSE_CODE == 0 and answers > 0
