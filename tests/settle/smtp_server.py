"""A small SMTP server for tests: it keeps what it is sent, or refuses what it is told to refuse."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage


class SmtpServer:
    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.refuse = b""  # the answer to RCPT instead of 250
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            word = line.split(b" ")[0].strip().upper()
            if word == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                found = message_from_bytes(data[:-3], _class=EmailMessage, policy=policy.default)
                self.messages.append(found)
                writer.write(b"250 kept\r\n")
            elif word == b"RCPT" and self.refuse:
                writer.write(self.refuse + b"\r\n")
            else:
                writer.write(b"250 ok\r\n")
            await writer.drain()
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()


@contextlib.asynccontextmanager
async def smtp_server() -> AsyncIterator[SmtpServer]:
    made = SmtpServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
