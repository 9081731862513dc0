"""Who is told: an HTTP receiver and a mail server of a few lines, and a certificate for both.

async with Receiver() as receiver: receiver.url, receiver.got
async with MailServer() as server: server.url, server.letters
"""

import asyncio
import base64
import contextlib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate_for(name: str, folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate's file, and a context that serves with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    chain, secret = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(built.public_bytes(pem))
    secret.write_bytes(key.private_bytes(pem, form, none))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return chain, context


class _Listening:
    """A server on a port of its own; its connections end with it."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.tls = tls
        self.host = host
        self.port = 0
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, self.host, 0, ssl=self._at_once())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _at_once(self) -> ssl.SSLContext | None:
        return self.tls

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # Closing a transport takes a turn of the loop.

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        gone = (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            await self._serve(reader, writer)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


@dataclass
class Got:
    head: str
    headers: dict[str, str]
    body: bytes


class Receiver(_Listening):
    """Takes webhooks. `answers` are the statuses of the next ones, then 204; None: no answer."""

    def __init__(self, *answers: int | None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.answers = list(answers)
        self.got: list[Got] = []

    @property
    def url(self) -> str:
        return f"{'https://localhost' if self.tls else 'http://127.0.0.1'}:{self.port}/hook?a=b"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:-2])
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append(Got(head.split("\r\n")[0], headers, body))
            status = self.answers.pop(0) if self.answers else 204
            if status is None:
                await asyncio.Event().wait()
            where = f"location: http://127.0.0.1:{self.port}/else\r\n" if status == 302 else ""
            writer.write(f"HTTP/1.1 {status} X\r\n{where}content-length: 0\r\n\r\n".encode())
            await writer.drain()


@dataclass
class Letter:
    sender: str
    receivers: list[str]
    content: EmailMessage
    was_encrypted: bool
    user: str | None


@dataclass
class _Talk:
    """What a mail client has said so far."""

    sender: str = ""
    receivers: list[str] = field(default_factory=list)
    user: str | None = None
    is_encrypted: bool = False


class MailServer(_Listening):
    """Takes letters. `tls` is offered by STARTTLS, or from the start with `at_once`; `refuses`
    answers a command, such as RCPT, with 550; `hangs` never answers it."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        at_once: bool = False,
        password: str | None = None,
        refuses: str = "",
        hangs: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(tls, host)
        self.is_at_once = at_once
        self.password = password
        self.refuses = refuses
        self.hangs = hangs
        self.letters: list[Letter] = []
        self.has_ended = asyncio.Event()

    def _at_once(self) -> ssl.SSLContext | None:
        return self.tls if self.is_at_once else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _Talk(is_encrypted=self.is_at_once)
        writer.write(b"220 hello\r\n")
        try:
            while True:
                line = (await reader.readuntil(b"\r\n")).decode().strip()
                word, _, rest = line.partition(" ")
                if self.hangs and line.upper().startswith(self.hangs):
                    await reader.read()
                    return
                answer = await self._answer(word.upper(), rest, talk, reader, writer)
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()
                if word.upper() == "STARTTLS":
                    assert self.tls is not None
                    await writer.start_tls(self.tls)
                    talk.is_encrypted = True
                if word.upper() == "QUIT":
                    return
        finally:
            self.has_ended.set()

    async def _answer(
        self,
        word: str,
        rest: str,
        talk: _Talk,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> str:
        if word == self.refuses:
            return "550 not here"
        if word == "EHLO":
            offered = ["here"]
            offered += ["STARTTLS"] if self.tls and not talk.is_encrypted else []
            offered += ["AUTH PLAIN"] if self.password else []
            last = len(offered) - 1
            return "\r\n".join(
                f"250{' ' if number == last else '-'}{each}" for number, each in enumerate(offered)
            )
        if word == "AUTH":
            _, user, password = base64.b64decode(rest.split(" ")[1]).decode().split("\0")
            talk.user = user
            return "235 welcome" if password == self.password else "535 who are you?"
        if word == "MAIL":
            talk.sender = rest.partition("<")[2].partition(">")[0]
        elif word == "RCPT":
            talk.receivers.append(rest.partition("<")[2].partition(">")[0])
        elif word == "DATA":
            writer.write(b"354 go ahead\r\n")
            return await self._take_letter(talk, reader)
        return {"QUIT": "221 bye", "STARTTLS": "220 go ahead"}.get(word, "250 ok")

    async def _take_letter(self, talk: _Talk, reader: asyncio.StreamReader) -> str:
        content = await reader.readuntil(b"\r\n.\r\n")
        parsed = message_from_bytes(content[:-3], policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.letters.append(
            Letter(talk.sender, talk.receivers, parsed, talk.is_encrypted, talk.user)
        )
        return "250 taken"
