"""A client of the coordinator's API, with the standard library alone.

    client = Client("http://127.0.0.1:8080")
    for device in client.devices(standing="active"):
        print(device.device, client.explain(device.device).summary)

Answers are the types of models.py. Lists are iterated over and ask for the next page when they need it. A refusal
raises ProblemError with the problem in it; OSError where there is no answer. Whatever says 429 or 503 is asked again
after the time that it names, a few times.
"""

from .client import Client
from .events import Beacon, Event, Totals
from .problem import Problem, ProblemError
from .rows import Rows

__all__ = ["Beacon", "Client", "Event", "Problem", "ProblemError", "Rows", "Totals"]
