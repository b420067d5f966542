"""The names of the notices. No board needs them: it sends numbers."""

from . import notices

NAMES = {
    notices.RESET_CAUSE: "reset_cause",
    notices.DROPPED: "dropped",
    notices.FIRMWARE_VERSION: "firmware_version",
    notices.SAFE_MODE: "safe_mode",
    notices.APPLICATION_CORRUPT: "application_corrupt",
    notices.UPDATE_REFUSED: "update_refused",
    notices.UPDATE_ROLLED_BACK: "update_rolled_back",
    notices.STORAGE_ERRORS: "storage_errors",
    notices.SENSOR_ABSENT: "sensor_absent",
    notices.SENSOR_STUCK: "sensor_stuck",
    notices.SENSOR_OUT_OF_RANGE: "sensor_out_of_range",
    notices.SENSOR_GARBAGE: "sensor_garbage",
    notices.WIFI_REFUSED: "wifi_refused",
    notices.BROKER_REFUSED: "broker_refused",
    notices.CERTIFICATE_REFUSED: "certificate_refused",
}


def name(code: int) -> str:
    """Name of a code; one from a newer version is shown by its number."""
    return NAMES.get(code, "notice_%d" % code)
