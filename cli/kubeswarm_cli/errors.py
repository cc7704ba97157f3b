"""What the command tells people when it can't go on."""

from kubeswarm_api.errors import KubeSwarmError


class CommandError(KubeSwarmError):
    """Ends the command with status 1; the message says what is wrong and what to do."""
