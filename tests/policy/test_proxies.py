"""R26: the client's address is the socket's peer, or the right-most untrusted hop."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyhall.policy import access
from keyhall.policy.proxies import HOPS_MAX, UNKNOWN, TrustedProxies, _address

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
        ("10.0.0.1", b"203.0.113.9, nonsense", UNKNOWN),
        ("10.0.0.1", b"203.0.113.9, nonsense, 10.0.0.2", UNKNOWN),
        ("10.0.0.1", b"203.0.113.9:4711", "203.0.113.9"),
        ("fd00::1", b"[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:10.0.0.1", b"203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", b"", UNKNOWN),
        ("127.0.0.1", b"unknown", UNKNOWN),
        ("127.0.0.1", b'"127.0.0.1"', UNKNOWN),
        ("127.0.0.1", b"127.0.0.1,", UNKNOWN),
        ("127.0.0.1", b"203.0.113.9,", UNKNOWN),
        ("", b"203.0.113.9", ""),
    ],
)
def test_r26_the_client_is_the_right_most_untrusted_hop(peer, forwarded_for, client):
    assert PROXIES.client_ip(peer, forwarded_for) == client


OURS = st.sampled_from(["10.0.0.2", "127.0.0.1", "fd00::1", "::ffff:10.9.9.9", " 10.0.0.3:80 "])
OTHERS = st.ip_addresses().map(str).filter(lambda text: not PROXIES._trusts(text))
JUNK = st.text(st.characters(codec="latin-1", exclude_characters=","), max_size=20)


@given(st.lists(st.one_of(OURS, OTHERS, JUNK), min_size=1, max_size=HOPS_MAX))
@example(["unknown"])
@example(["127.0.0.1", "_hidden"])
def test_r26_nobody_becomes_the_proxy_by_what_he_writes(hops):
    """From the right: proxies of ours are passed over, the first other hop decides. Only if all
    are ours is the client one of ours."""
    found = PROXIES.client_ip("127.0.0.1", ",".join(hops).encode("latin-1"))
    strangers = [hop for hop in hops if not PROXIES._trusts(hop)]
    if not strangers:
        assert PROXIES._trusts(found)
        return
    assert found == str(_address(strangers[-1]) or UNKNOWN)


@given(st.sampled_from(["203.0.113.7", "::1", "", "nonsense"]), st.binary(max_size=200))
def test_r26_whoever_is_not_trusted_stays_who_he_is(peer, forwarded_for):
    assert PROXIES.client_ip(peer, forwarded_for) == peer


def test_r26_an_unknown_address_is_in_no_list_and_never_local():
    assert access.addresses(UNKNOWN) == ()


def test_r26_only_the_end_of_an_endless_list_of_hops_is_read():
    hops = b", ".join([b"203.0.113.9"] + [b"10.0.0.2"] * HOPS_MAX)
    assert PROXIES.client_ip("10.0.0.1", hops) == "10.0.0.2"


def test_r26_what_is_no_network_refuses_to_start():
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies(["nonsense"])
