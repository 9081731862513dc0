"""Alerts and other letters as e-mail, by the operator's mail server.

Python's SMTP client blocks, so it runs in a thread; when the time is over its connection is cut,
and the thread ends. A password or a letter never travels in clear text, save to this machine.
"""

import asyncio
import contextlib
import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from keyhall.engines.upstream.address import AddressRefused, Resolver, parse_address
from keyhall.flows.alerts.message import Told, Untold
from keyhall.policy.secrets import Secret

DEADLINE_SECONDS = 20.0  # in all: mail servers greet late to annoy spammers
_PORTS = {"smtp": 587, "smtps": 465}


class Mail:
    """`Channel` over SMTP, and the `Post` of accounts. Raises AddressRefused when made of a server
    that is never called."""

    name = "e-mail"

    def __init__(self, url: Secret, sender: str, receivers: str = "") -> None:
        split = urlsplit(url.reveal())
        self._is_tls = split.scheme == "smtps"
        self._user = unquote(split.username or "")
        self._password = Secret(unquote(split.password or ""))
        port = split.port or _PORTS[split.scheme]
        host = split.hostname or ""
        bracketed = f"[{host}]" if ":" in host else host
        self._address = parse_address(f"http://{bracketed}:{port}")
        self._resolver = Resolver(self._address)
        self._sender = sender
        self._receivers = [each.strip() for each in receivers.split(",") if each.strip()]
        self._domain = sender.rpartition("@")[2].strip("<> ") or "keyhall"
        self._tls = ssl.create_default_context()

    async def send(self, message: Told, now_us: int) -> None:
        """To nobody, if nobody is to be written to."""
        receivers = list(dict.fromkeys([*self._receivers, *message.receivers]))
        if receivers:
            await self.post(receivers, message.subject, message.text, message.id, now_us)

    async def post(
        self, receivers: Sequence[str], subject: str, text: str, letter_id: str, now_us: int
    ) -> None:
        """One letter. Raises Untold."""
        letter = self._letter(receivers, subject, text, letter_id, now_us)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                ip = (await self._resolver.addresses())[0]
                smtp = self._line()
                try:
                    await asyncio.to_thread(self._deliver, smtp, ip, letter)
                finally:
                    _cut(smtp)
        except TimeoutError:
            raise Untold(f"not taken within {DEADLINE_SECONDS:.0f} s") from None
        except AddressRefused as error:
            raise Untold(str(error)) from None
        except (smtplib.SMTPException, OSError) as error:
            self._resolver.forget()
            raise Untold(str(error)[:200] or type(error).__name__) from None

    def _line(self) -> smtplib.SMTP:
        """A client that has not connected yet, for it was given no host. It says who it is by the
        sender's domain: this machine's own name would have to be looked up."""
        if self._is_tls:
            return smtplib.SMTP_SSL(
                local_hostname=self._domain, timeout=DEADLINE_SECONDS, context=self._tls
            )
        return smtplib.SMTP(local_hostname=self._domain, timeout=DEADLINE_SECONDS)

    def _deliver(self, smtp: smtplib.SMTP, ip: str, letter: EmailMessage) -> None:
        """In a thread."""
        # The name that TLS asks for: the connection goes to an address that was checked.
        smtp._host = self._address.host  # type: ignore[attr-defined]
        smtp.connect(ip, self._address.port)
        smtp.ehlo()
        if not self._is_tls:
            if smtp.has_extn("starttls"):
                smtp.starttls(context=self._tls)
                smtp.ehlo()
            elif not ipaddress.ip_address(ip).is_loopback:
                raise Untold("it offers no STARTTLS, and the letter would travel in clear text")
        if self._user:
            smtp.login(self._user, self._password.reveal())
        smtp.send_message(letter)
        with contextlib.suppress(smtplib.SMTPException, OSError):  # It has been taken.
            smtp.quit()

    def _letter(
        self, receivers: Sequence[str], subject: str, text: str, letter_id: str, now_us: int
    ) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = self._sender
        letter["To"] = ", ".join(receivers)
        letter["Subject"] = f"Keyhall: {subject}"
        letter["Date"] = format_datetime(datetime.fromtimestamp(now_us // 1_000_000, tz=UTC))
        letter["Message-ID"] = f"<{letter_id}@{self._domain}>"  # A second try is the same letter.
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text)
        return letter

    async def close(self) -> None:
        pass


def _cut(smtp: smtplib.SMTP) -> None:
    """End a thread that still waits for the server; nothing if it has ended."""
    if isinstance(smtp.sock, socket.socket):
        with contextlib.suppress(OSError):
            smtp.sock.shutdown(socket.SHUT_RDWR)
    smtp.close()
