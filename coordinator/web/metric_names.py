"""Every metric of ours that `/metrics` has: name, kind, labels, and what it says. Alert rules, dashboard and
documentation name only these, and a test holds them against each other.

Names follow https://prometheus.io/docs/practices/naming/: base units last, `_total` on counters, times as unix seconds
in `_timestamp_seconds`. No label holds a device, an account or anything else that a stranger can make more of.
"""

from typing import NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Metric(NamedTuple):
    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS = (
    Metric("edgetally_build_info", GAUGE, ("version", "rules"), "1, with the versions of program and rules"),
    # TIME
    Metric("edgetally_beacon_number", GAUGE, (), "number of the newest beacon"),
    Metric("edgetally_beacon_timestamp_seconds", GAUGE, (), "time that the newest beacon carries"),
    Metric("edgetally_beacon_interval_seconds", GAUGE, (), "time from beacon to beacon, a parameter"),
    Metric("edgetally_clock_timestamp_seconds", GAUGE, (), "this machine's clock at the moment of the answer"),
    Metric("edgetally_epoch_number", GAUGE, (), "the running epoch"),
    # BATCHES AND STORES
    Metric("edgetally_batch_number", GAUGE, (), "the newest batch folder, -1 before the first"),
    Metric("edgetally_batch_slots", GAUGE, (), "slots in a batch, a parameter"),
    Metric("edgetally_sealed_slot_number", GAUGE, (), "the newest slot that is in a batch, -1 before the first"),
    Metric("edgetally_batch_seconds", HISTOGRAM, (), "from the begin of sealing a batch to all stores having it"),
    Metric("edgetally_store_batch_number", GAUGE, ("store",), "the newest batch that a store has applied"),
    Metric("edgetally_snapshot_batch_number", GAUGE, (), "the newest snapshot's batch, -1 for none"),
    # STATEMENTS
    Metric("edgetally_statements_total", COUNTER, (), "statements that were made durable and receipted as such"),
    Metric("edgetally_refusals_total", COUNTER, ("reason",), "what was refused, by verdict"),
    Metric("edgetally_queue_messages", GAUGE, (), "messages that wait for verification"),
    Metric("edgetally_queue_max_messages", GAUGE, (), "how many may wait, limits.queue_max"),
    Metric("edgetally_ingest_worker_restarts_total", COUNTER, (), "ingest workers that died and were started again"),
    Metric("edgetally_broker_restarts_total", COUNTER, (), "deaths of a managed mosquitto"),
    # DEVICES AND MONEY
    Metric("edgetally_devices", GAUGE, ("standing",), "devices by standing"),
    Metric("edgetally_paid_tokens_total", COUNTER, (), "paid to devices over all closed epochs"),
    Metric("edgetally_treasury_tokens", GAUGE, (), "what nobody earned"),
    # DISK AND BACKUP
    Metric("edgetally_disk_free_bytes", GAUGE, (), "room on the file system of the data directory"),
    Metric("edgetally_disk_size_bytes", GAUGE, (), "size of that file system"),
    Metric(
        "edgetally_storage_failures_total", COUNTER, ("what",), "writes that the disk refused, as the log tells them"
    ),
    Metric("edgetally_backup_timestamp_seconds", GAUGE, (), "when the newest backup was made, 0 for never"),
    # PAGES
    Metric("edgetally_http_requests_total", COUNTER, ("route", "code"), "answers by declared route and status"),
    Metric("edgetally_http_request_duration_seconds", HISTOGRAM, ("route",), "time to the answer, by declared route"),
    Metric("edgetally_live_connections", GAUGE, (), "open connections of server-sent events"),
    Metric("edgetally_live_dropped_total", COUNTER, ("reason",), "listeners sent away: slow, or too_many of them"),
)
SUFFIXES = {HISTOGRAM: ("_bucket", "_sum", "_count"), COUNTER: ("",), GAUGE: ("",)}


def series() -> set[str]:
    """The names under which values are stored: those that queries may use."""
    return {metric.name + suffix for metric in METRICS for suffix in SUFFIXES[metric.kind]}
