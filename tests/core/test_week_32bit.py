"""Eight days offline on 32-bit words: a client signs the same about its time as with a counter without end."""

from tests import wasm32
from tests.core.client_week import DAYS, STEP_MS, Exact, week


def test_eight_days_of_a_client() -> None:
    total, reports, dt_ms, uptime_s, seen = expected = week(Exact)
    assert total >= DAYS * 86_400_000 > 2**29 and dt_ms > total - 2 * STEP_MS and uptime_s > DAYS * 86_000
    assert reports > total // (2 * STEP_MS) and len(seen) == 64
    code = "from counter import Counter\nfrom tests.core.client_week import week\nprint(week(Counter))"
    assert wasm32.run(code) == [repr(expected)]
