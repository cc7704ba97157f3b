"""The JetStream stream of a Swarm, where its Nodes' rollouts lie until they are old; as plain values."""

from typing import Any

from kubeswarm_api.names import groups_subject, stream_name
from kubeswarm_api.rollouts import MAX_MESSAGE_BYTES

MESSAGES_A_NODE = 64
MAX_AGE_SECONDS = 24 * 3600.0
#: Within it the server drops a second copy of a message that was sent again after a lost acknowledgement.
DUPLICATE_WINDOW_SECONDS = 120.0


def stream_settings(swarm_id: str, max_bytes: int) -> dict[str, Any]:
    """The stream's settings, as a client's StreamConfig takes them; `max_bytes`: disk that it may take.

    Nodes read it by "direct get"; nothing but age, count and size removes a message.
    """
    return {
        "name": stream_name(swarm_id),
        "description": f"Rollouts of swarm {swarm_id}",
        "subjects": [groups_subject(swarm_id, "*")],
        "storage": "file",
        "discard": "old",
        "max_msgs_per_subject": MESSAGES_A_NODE,
        "max_msg_size": MAX_MESSAGE_BYTES,
        "max_bytes": max_bytes,
        "max_age": MAX_AGE_SECONDS,
        "max_consumers": 1,
        "duplicate_window": DUPLICATE_WINDOW_SECONDS,
        "allow_direct": True,
        "deny_delete": True,
        "deny_purge": True,
    }
