"""What is around a simulated board: the scenario file, and the time since power came.

The scenario is JSON and may be replaced (by a new file and a rename) while the board runs; `now()` sees it at once:

    wifi      [{"ssid", "password" (none: open), "rssi" (-60), "from_ms", "until_ms"}, ...]; without it every name and
              password is taken
    connect_ms  how long a connection or its refusal takes (50)
    pins      {"0": [[0, 0], [11000, 1]]}: the level of an input from a time on; 1 before the first
    adc_uv    {"34": 1650000}: what an input measures, in microvolt
    attach    Python files that are run before the file system is mounted and may call `machine.attach_*`; read once
    mac       "0200deadbeef"
"""

import json
from time import ticks_diff, ticks_ms

_started = ticks_ms()
_files = _path = None
_text, _fields = "", {}


def since_start_ms():
    return ticks_diff(ticks_ms(), _started)


def attach(files, path):
    """`files`: an object with `open`, because the board's own file system hides the host's."""
    global _files, _path
    _files, _path = files, path


def now(key, otherwise=None):
    """A field of the scenario as it is now. Raises ValueError for a file that is no JSON object."""
    global _text, _fields
    if _path is None:
        return otherwise
    with _files.open(_path, "r") as file:
        text = file.read()
    if text != _text:
        _text, _fields = text, json.loads(text)
    return _fields.get(key, otherwise)
