"""No deadline for one example: the machine is shared, and time is not what these tests measure."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
