"""Hypothesis without deadlines: the time that a machine takes now and then says nothing of the code."""

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
