"""Which addresses Keyhall may call as an upstream, and which it never does (R9).

An operator names the address; nobody else can. It may be private or loopback, since that is where
local engines live. Link-local and metadata addresses are refused always, whatever notation or
name they hide behind: a name is resolved once, every address it gives is checked, and the
connection goes to one of exactly those. An address that is our own would answer itself for ever.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
Endpoint = tuple[str, int]  # An address we listen on: IP (or `0.0.0.0`, `::`, a name) and port.

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_BYTES_MAX = 2_048
# RFC 3986 without what a base URL has no use for: `@ ? # \ %` and anything not ASCII.
_URL_CHARACTERS = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_~[]!$&'()*+,;="
)
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
_METADATA_HOSTS = frozenset(
    {
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
    }
)
_METADATA_ADDRESSES: frozenset[_IP] = frozenset(
    {
        ipaddress.IPv4Address("100.100.100.200"),  # Alibaba
        ipaddress.IPv4Address("168.63.129.16"),  # Azure's platform channel
        ipaddress.IPv4Address("192.0.0.192"),  # Oracle
        ipaddress.IPv6Address("fd00:ec2::254"),  # AWS
        ipaddress.IPv6Address("fd20:ce::254"),  # Google
    }
)
_EMBEDDING = (  # IPv6 networks whose addresses carry an IPv4 address, and its last bit's distance.
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),  # NAT64, local use, with a /96 prefix
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)


class AddressRefused(ValueError):
    """One sentence without a full stop that tells the operator what is wrong with an address."""


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL that has been checked. `host` has no brackets, `path` no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_address(url: str) -> Address:
    """Read a base URL such as `http://127.0.0.1:8000/v1`; raises AddressRefused."""
    if not url or len(url) > _URL_BYTES_MAX:
        raise AddressRefused("the address is empty or longer than 2,048 characters")
    if not _URL_CHARACTERS.issuperset(url):
        raise AddressRefused(
            "the address holds characters that a base URL has no use for: a user name, a query, "
            "a fragment, an escape, white space or anything that is not ASCII"
        )
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port
    except ValueError as error:
        raise AddressRefused(f"the address cannot be read ({error})") from None
    if split.scheme not in _DEFAULT_PORTS:
        raise AddressRefused("the address begins neither with http:// nor with https://")
    if port == 0:
        raise AddressRefused("the address names port 0")
    return Address(
        split.scheme,
        _checked_host(host or "", is_bracketed="[" in split.netloc),
        port or _DEFAULT_PORTS[split.scheme],
        split.path.rstrip("/"),
    )


def _checked_host(host: str, *, is_bracketed: bool) -> str:
    host = host.rstrip(".")
    if host in _METADATA_HOSTS:
        raise AddressRefused("the address is a cloud's metadata service")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if is_bracketed or not host or not _HOST_CHARACTERS.issuperset(host) or ".." in host:
            raise AddressRefused("the address has no valid host name") from None
        return host
    reason = why_forbidden(ip)
    if reason:
        raise AddressRefused(reason)
    return str(ip)


def why_forbidden(ip: _IP) -> str | None:
    """Why this address is never called, or None if an operator may name it."""
    for one in (ip, *_embedded(ip)):
        if one.is_link_local:
            return "the address is link-local, where clouds keep their metadata service"
        if one in _METADATA_ADDRESSES:
            return "the address is a cloud's metadata service"
        if one.is_unspecified:
            return "the address 0.0.0.0 or :: names no machine; write 127.0.0.1"
        if one.is_multicast or one == ipaddress.IPv4Address("255.255.255.255"):
            return "the address is a multicast or broadcast address"
    return None


def _embedded(ip: _IP) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for on some path."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [
        ipaddress.IPv4Address(int(ip) >> shift & 0xFFFF_FFFF)
        for network, shift in _EMBEDDING
        if ip in network
    ]
    if ip.ipv4_mapped:
        found.append(ip.ipv4_mapped)
    if ip.teredo:
        found.extend(ip.teredo)
    return found


def refuse_key(key: str) -> str | None:
    """Why this cannot be an upstream's key, or None. An empty key means: send none."""
    if key.startswith("sk-kh_"):
        return "the key is one of Keyhall's own (sk-kh_...), not an upstream's"
    if not key.isascii() or not key.isprintable() or " " in key or len(key) > 4_096:
        return "the key holds white space or characters that are not printable ASCII"
    return None


def is_own(ip: _IP, port: int, endpoints: Sequence[Endpoint]) -> bool:
    """Whether we listen there ourselves. `endpoints` are the addresses given to `serve`."""
    target = getattr(ip, "ipv4_mapped", None) or ip
    for host, own_port in endpoints:
        if port != own_port:
            continue
        if host == "localhost":
            if target.is_loopback:
                return True
            continue
        try:
            own = ipaddress.ip_address(host)
        except ValueError:
            return _is_of_this_machine(target)  # A name we listen on: take no chances.
        if target == own or (own.is_unspecified and _is_of_this_machine(target)):
            return True
    return False


def _is_of_this_machine(ip: _IP) -> bool:
    """Only an address of this machine can be bound."""
    if ip.is_loopback:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True


async def _system_lookup(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found: list[tuple[Any, ...]] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Resolver:
    """Gives the addresses that a connection may be made to, freshly checked.

    A name's addresses are kept for a few seconds, so that a burst of connections asks once.
    """

    __slots__ = ("_address", "_known", "_known_until", "_lookup", "own")

    _KEPT_SECONDS = 10.0

    def __init__(
        self, address: Address, *, own: Sequence[Endpoint] = (), lookup: Lookup = _system_lookup
    ) -> None:
        self._address = address
        self._lookup = lookup
        self._known: list[str] = []
        self._known_until = 0.0
        self.own = tuple(own)

    async def addresses(self) -> list[str]:
        """At least one address. Raises AddressRefused if any is forbidden, OSError if none is
        found."""
        now = asyncio.get_running_loop().time()
        if now < self._known_until:
            return self._known
        port = self._address.port
        found = list(dict.fromkeys(await self._lookup(self._address.host, port)))
        for text in found:
            ip = ipaddress.ip_address(text)
            reason = why_forbidden(ip)
            if reason:
                raise AddressRefused(reason)
            if is_own(ip, port, self.own):
                raise AddressRefused("the address is Keyhall's own, which would call itself")
        if not found:
            raise OSError("the name has no address")
        self._known, self._known_until = found, now + self._KEPT_SECONDS
        return found

    def forget(self) -> None:
        """Ask anew next time: no connection could be made to what was found."""
        self._known_until = 0.0
