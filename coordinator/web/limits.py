"""Everything that bounds what a stranger can ask of the web."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one server; an operator may set them, a network may not."""

    body_bytes_max: int = 4096  # of any request
    message_bytes_max: int = 1024  # of a statement, as on MQTT
    requests_per_s: float = 200.0  # of one address, or of one person with a token
    requests_burst: int = 1000  # at once, before that rate counts
    in_flight_max: int = 256  # requests that are being answered; more are refused as overloaded
    request_timeout_s: float = 10.0
    keepalive_timeout_s: float = 30.0  # also for the first request to come whole
    answer_timeout_s: float = 60.0  # for an answer to be taken, once it is there; files may take as long as they want
    connections_max: int = 800  # of one process; below what it may open
    retry_after_s: int = 5
    live_max: int = 100  # connections of server-sent events
    live_per_address_max: int = 10  # of them from one address
    live_heartbeat_s: float = 15.0


DEFAULT = Limits()

ROWS_DEFAULT = 100
ROWS_MAX = 500
READINGS_MAX = 8192  # of one slot, which is never cut
NUMBER_MAX = 2**63 - 1
