"""How a wait ends when the process is told to stop."""


class Stopped(Exception):
    """The trainer was told to stop while it waited."""
