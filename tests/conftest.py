"""What all tests share: hypothesis sets no deadline by the clock, which a busy machine would miss."""

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
