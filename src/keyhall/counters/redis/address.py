"""Where Redis is: an address such as `redis://name:password@host:6379/0`, read and masked."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from keyhall.counters.redis import resp

PORT = 6379


class AddressError(ValueError):
    """The text is no address of a Redis; the message says what is wrong and never repeats it."""


@dataclass(frozen=True, slots=True)
class Address:
    """`path` is that of a Unix socket, else there are host and port."""

    host: str = ""
    port: int = PORT
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    is_tls: bool = False

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def sign_in(self) -> bytes:
        """For those with a password."""
        name = (self.user,) if self.user else ()
        return resp.encode("AUTH", *name, self.password)

    def select(self) -> bytes:
        """Not in every cluster: to be said once it is known that this is none."""
        return resp.encode("SELECT", self.database)

    def context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.is_tls else None


def parse(text: str) -> Address:
    """`redis://`, `rediss://` (TLS) or `unix://` with the path of a socket. Raises AddressError."""
    try:
        parts = urlsplit(text)
        port = parts.port or PORT
    except ValueError:
        raise AddressError("it is no address") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix":
        if not parts.path:
            raise AddressError("unix:// needs the path of a socket")
        asked = parse_qs(parts.query).get("db", ["0"])[0]
        return Address("", PORT, unquote(parts.path), user, password, _database(asked))
    if parts.scheme not in ("redis", "rediss"):
        raise AddressError("it must begin with redis://, rediss:// or unix://")
    if not parts.hostname:
        raise AddressError("it names no host")
    database = _database(parts.path.strip("/") or "0")
    is_tls = parts.scheme == "rediss"
    return Address(parts.hostname, port, "", user, password, database, is_tls)


def _database(text: str) -> int:
    if not text.isdecimal() or len(text) > 4:
        raise AddressError("the database behind the host must be a number")
    return int(text)
