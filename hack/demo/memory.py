"""Peak memory by pod, from the kubelet's own metrics through the API server."""

import re
from collections import defaultdict
from threading import Event, Thread

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

SECONDS = 3.0
_LINE = re.compile(r'^pod_memory_working_set_bytes\{namespace="([^"]+)",pod="([^"]+)"\} (\S+)', re.MULTILINE)


def parse(text: str) -> dict[tuple[str, str], int]:
    """Working-set bytes by (namespace, pod), from the text of a kubelet's /metrics/resource."""
    return {(namespace, pod): int(float(value)) for namespace, pod, value in _LINE.findall(text)}


class PeakMemory:
    """Samples every pod's working set on a thread of its own, while it is entered."""

    def __init__(self) -> None:
        self._peaks: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._done = Event()
        self._thread = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def peaks(self, *namespaces: str) -> dict[str, int]:
        """Peak bytes by pod so far, in these namespaces."""
        return {pod: peak for (namespace, pod), peak in sorted(self._peaks.items()) if namespace in namespaces}

    def _sample(self) -> None:
        core = client.CoreV1Api()
        while not self._done.wait(SECONDS):
            try:
                nodes = core.list_node(_request_timeout=10).items
                names = [node.metadata.name for node in nodes if node.metadata and node.metadata.name]
                for name in names:
                    text = core.connect_get_node_proxy_with_path(name, "metrics/resource", _request_timeout=10)
                    for pod, size in parse(text).items():
                        self._peaks[pod] = max(self._peaks[pod], size)
            except (ApiException, HTTPError):
                continue  # a sample less; the demo itself notices a cluster that is gone
