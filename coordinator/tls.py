"""The certificate of the pages: checked when it is loaded, and loaded anew when its files change."""

import contextlib
import ssl
import stat
from pathlib import Path

import structlog

log = structlog.get_logger("edgetally")
LOOK_S = 5.0
# Others may not read it, nor may its group write it; a group that reads keys is how some systems hand them out.
FORBIDDEN = stat.S_IRWXO | stat.S_IWGRP


class BadCertificate(OSError):
    """It cannot be used; the text names the file, and what to do."""


class Certificate:
    """`context` is that of a server, TLS 1.2 and newer; connections that are made after `renew` see the new files."""

    def __init__(self, certfile: Path, keyfile: Path) -> None:
        """Raises BadCertificate."""
        self._certfile, self._keyfile = certfile, keyfile
        self.context = self._loaded(_server_context())
        self._seen = self._looked()
        self.renewals = 0

    def renew(self) -> bool:
        """Load the files again if they are right; else the old ones stay in use, and the log says why."""
        try:
            self._loaded(_server_context())  # not into the one in use: it would keep half of a wrong pair
            self._loaded(self.context)
        except BadCertificate as error:
            log.error("certificate_refused", error=str(error))
            return False
        self.renewals += 1
        log.info("certificate_renewed", certfile=str(self._certfile))
        return True

    def look(self) -> None:
        """Renew if a file changed since the last look."""
        seen = self._looked()
        if seen != self._seen:
            self._seen = seen
            self.renew()

    def _looked(self) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in (self._certfile, self._keyfile):
            with contextlib.suppress(OSError):
                told = path.stat()
                found.append((told.st_mtime_ns, told.st_size, told.st_ino))
        return tuple(found)

    def _loaded(self, context: ssl.SSLContext) -> ssl.SSLContext:
        for setting, path in (("http.certfile", self._certfile), ("http.keyfile", self._keyfile)):
            try:
                mode = path.stat().st_mode
                path.read_bytes()
            except OSError as error:
                raise BadCertificate(f"{setting}: {path}: {error.strerror}") from None
            if setting == "http.keyfile" and mode & FORBIDDEN:
                told = f"mode {stat.S_IMODE(mode):04o} lets others at it; run: chmod 600 {path}"
                raise BadCertificate(f"{setting}: {path}: {told}")
        try:
            context.load_cert_chain(self._certfile, self._keyfile, password=_no_password)
        except ssl.SSLError as error:
            raise BadCertificate(f"http.certfile, http.keyfile: {self._why(error)}") from None
        return context

    def _why(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{self._keyfile} is not the key of {self._certfile}"
        return f"{self._certfile} and {self._keyfile} are not a certificate and an unencrypted key in PEM"


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    return context


def _no_password() -> bytes:
    """Else OpenSSL asks on the terminal."""
    return b""
