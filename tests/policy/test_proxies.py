"""R26: the client's address is the socket's peer, or the right-most untrusted hop."""

import pytest

from keyhall.policy.proxies import HOPS_MAX, TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.1", None, "198.51.100.1"),
        ("198.51.100.1", b"6.6.6.6", "198.51.100.1"),  # An untrusted peer may say what it likes.
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", b"6.6.6.6, 203.0.113.9", "203.0.113.9"),  # The client wrote the first one.
        ("10.0.0.1", b"203.0.113.9, 10.0.0.2, 10.0.0.3", "203.0.113.9"),
        ("10.0.0.1", b"10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("10.0.0.1", b"203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.9, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", b"203.0.113.9:4711", "203.0.113.9"),
        ("fd00::1", b"[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:10.0.0.1", b"203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("", b"203.0.113.9", ""),
    ],
)
def test_r26_the_client_is_the_right_most_untrusted_hop(peer, forwarded_for, client):
    assert PROXIES.client_ip(peer, forwarded_for) == client


def test_r26_only_the_end_of_an_endless_list_of_hops_is_read():
    hops = b", ".join([b"203.0.113.9"] + [b"10.0.0.2"] * HOPS_MAX)
    assert PROXIES.client_ip("10.0.0.1", hops) == "10.0.0.2"


def test_r26_what_is_no_network_refuses_to_start():
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies(["nonsense"])
