"""The client's address behind proxies: the right-most hop that is not trusted (R26)."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

UNKNOWN = "unknown"  # no address: it is in no list, and nobody takes it for this machine
KNOWN_MAX = 4_096  # headers whose client is remembered
KNOWN_BYTES_MAX = 256  # of such a header
HOPS_MAX = 32  # a longer X-Forwarded-For is somebody's padding: only its end is read


class TrustedProxies:
    """The networks whose word about their peers is believed.

    >>> proxies = TrustedProxies(["10.0.0.0/8"])
    >>> proxies.client_ip("10.0.0.1", b"6.6.6.6, 203.0.113.9, 10.0.0.2")
    '203.0.113.9'
    >>> proxies.client_ip("203.0.113.7", b"6.6.6.6")
    '203.0.113.7'
    >>> proxies.client_ip("10.0.0.1", b"203.0.113.9, nonsense")
    'unknown'
    """

    def __init__(self, networks: list[str]) -> None:
        """Raises ValueError for what is no address or network."""
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text) for text in networks]
        # Every request asks, and clients come again: reading the header costs some microseconds.
        self._known = lru_cache(KNOWN_MAX)(self._client_ip)

    def client_ip(self, peer: str, forwarded_for: bytes | None) -> str:
        """`peer`, or whom the proxies name; UNKNOWN if they name what is no address: somebody is
        there, and it is not the proxy itself."""
        if forwarded_for is None:
            return peer
        if len(forwarded_for) <= KNOWN_BYTES_MAX:
            return self._known(peer, forwarded_for)
        return self._client_ip(peer, forwarded_for)

    def _client_ip(self, peer: str, forwarded_for: bytes) -> str:
        if not self._trusts(peer):
            return peer
        client = peer
        for hop in reversed(forwarded_for.decode("latin-1").split(",")[-HOPS_MAX:]):
            address = _address(hop)
            if address is None:
                return UNKNOWN
            client = str(address)
            if not self._trusts(client):
                break
        return client

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without brackets or an IPv4 port; IPv4 written as IPv6 counts as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
