"""A notice by e-mail, over SMTP in a thread of its own."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from typing import NamedTuple

from .webhook import NotSent

TIMEOUT_S = 20.0


class MailServer(NamedTuple):
    """`tls` is starttls, tls or none; without a `host` no mail is sent."""

    host: str
    port: int
    tls: str
    username: str
    password: str
    sender: str


class Mail:
    def __init__(self, server: MailServer, context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._context = context

    async def send(self, address: str, subject: str, text: str, stop: str) -> None:
        """`stop` is the address that a mail program posts to when its reader wants no more (RFC 8058).

        Raises NotSent.
        """
        if not self._server.host:
            raise NotSent("no mail server is set", for_good=True)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._server.sender, address, subject
        message["List-Unsubscribe"] = f"<{stop}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            await asyncio.to_thread(self._send, message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise NotSent("the address is refused", for_good=bool(codes) and min(codes) >= 500) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotSent(str(error) or type(error).__name__) from error

    def _send(self, message: EmailMessage) -> None:
        server = self._server
        context = self._context or ssl.create_default_context()
        made: smtplib.SMTP
        if server.tls == "tls":
            made = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
        else:
            made = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        with made as connection:
            if server.tls == "starttls":
                connection.starttls(context=context)
            if server.username:
                connection.login(server.username, server.password)
            connection.send_message(message)
