"""Which worker of pytest-xdist runs which file, and when.

Files that look at one run of a costly thing stay together, so that it runs once; the longest files begin first, so that
at the end no worker waits for another's last one. Nothing else depends on the order.
"""

from collections.abc import Sequence

from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    ("tests/docs/test_api.py", "tests/docs/test_readme.py"),  # the README, typed line by line
    ("tests/e2e/test_demo.py", "tests/e2e/test_verify.py"),  # a demo and what it published
    (
        "tests/ingest/test_hostile_broker.py",
        "tests/ingest/test_hostile_floods.py",
        "tests/ingest/test_hostile_statements.py",
    ),  # a coordinator that must not notice anything
    ("tests/backup/test_backup.py", "tests/backup/test_hostile.py"),  # a network that has lived
)

# From 50 s down to 7 s on an idle machine. Those that wait stand between those that compute.
FIRST = """
bench/test_pages e2e/test_proofs e2e/test_owners engine/test_audit_tampering e2e/test_crash firmware/test_update_sweep
e2e/test_noise e2e/test_herd engine/test_tamper_matrix docs/test_api docs/test_readme e2e/test_device_product
e2e/test_workers store/test_rebuild bench/test_ingest e2e/test_demo e2e/test_verify engine/test_engines
faults/test_deaths e2e/test_small_disk e2e/test_rollback web/test_same_totals e2e/test_broker_kills
web/test_sign_in_browser e2e/test_updates ingest/test_mosquitto e2e/test_engines ingest/test_hostile_broker
ingest/test_hostile_floods ingest/test_hostile_statements firmware/test_tls store/test_snapshots
bench/test_credentials device/test_killed web/test_browser web/test_manage e2e/test_web_process faults/test_troubles
e2e/test_disk_full web/test_deleting cli/test_device_setup cli/test_doctor store/test_recovery firmware/test_ed25519
firmware/test_viper_32bit sim/test_ring sim/test_network sim/test_owners sim/test_partition docs/test_performance
engine/test_report_shape web/test_verify store/test_million firmware/test_shell store/test_state_rows core/test_ring
"""

_RANK = {f"tests/{name}.py": rank for rank, name in enumerate(FIRST.split())}
_TEAM = {file: team[0] for team in TOGETHER for file in team}


def file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def rank(nodeid: str) -> tuple[int, str]:
    """Where a test's file stands; one that nobody has measured comes behind all that are long."""
    file = file_of(nodeid)
    return _RANK.get(_TEAM.get(file, file), len(_RANK)), file


def named() -> Sequence[str]:
    """Every file that is named here."""
    return [*_RANK, *_TEAM]


class Spread(LoadScopeScheduling):
    """One unit of work is a file, or the files that stay together."""

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return _TEAM.get(file, file)
