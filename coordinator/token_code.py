"""An enrolment token as a QR code: for a terminal, and as an SVG for a label."""

import io
import sys

import segno

from device_client.provisioning import Provisioning
from device_client.token_uri import to_uri

LONG_CHARS = 1_000  # up to here a label that is a little dirty can still be read


def made(given: Provisioning) -> segno.QRCode:
    """The code of the line that `load_provisioning` reads. Raises ValueError if it is too long for one."""
    line = to_uri(given.to_json())
    return segno.make(line, error="m" if len(line) <= LONG_CHARS else "l", micro=False)


def svg(code: segno.QRCode) -> bytes:
    out = io.BytesIO()
    code.save(out, kind="svg", xmldecl=False, border=4, scale=4, title="Edgetally token, secret")
    return out.getvalue()


def show(code: segno.QRCode) -> None:
    code.terminal(out=sys.stderr, compact=True)
