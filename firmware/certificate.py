"""What was wrong with the broker's certificate, as a notice says it. `shell.py` imports this when one was refused."""

from device_client.core import notices

# What mbedtls says (x509_crt.c, the texts of MBEDTLS_X509_BADCERT_*), and the values of `notices.CERTIFICATE_REFUSED`.
# With another CA nothing else about a certificate means anything, so that is looked for first.
_TEXTS = (("trusted CA", 2), ("expected CN", 3), ("expired", 4), ("future", 5))
NOT_TOLD = 1
NOT_YET_VALID = 5


def code(text):
    """One of `notices.CERTIFICATE_REFUSED`, for the text of the ValueError of a handshake."""
    for part, number in _TEXTS:
        if part in text:
            return number
    return NOT_TOLD


def tell(client, link, board):
    """Say it in the next report and on the serial line. One that is not valid yet may mean that the clock is slow."""
    refused = code(link.certificate)
    link.certificate = ""
    client.notice(notices.CERTIFICATE_REFUSED, refused)
    print("edgetally: certificate_refused", refused)
    if refused == NOT_YET_VALID:
        board.ask_time()
