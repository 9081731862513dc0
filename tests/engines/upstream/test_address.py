"""What an upstream's address may be (R9, attacks 6 and 23)."""

import asyncio
import ipaddress
import socket

import pytest

from keyhall.engines.upstream import address
from keyhall.engines.upstream.address import Address, AddressRefused, Resolver, parse_address

ALLOWED = {
    "https://api.openai.com/v1": Address("https", "api.openai.com", 443, "/v1"),
    "https://API.openai.com/v1/": Address("https", "api.openai.com", 443, "/v1"),
    "http://127.0.0.1:8000/v1": Address("http", "127.0.0.1", 8000, "/v1"),
    "http://localhost:11434/v1": Address("http", "localhost", 11434, "/v1"),
    "http://[::1]:8080": Address("http", "::1", 8080, ""),
    "http://10.1.2.3": Address("http", "10.1.2.3", 80, ""),
    "http://192.168.0.9:1/a/b": Address("http", "192.168.0.9", 1, "/a/b"),
    "http://[fd12::1]:65535/v1": Address("http", "fd12::1", 65535, "/v1"),
    "http://vllm_0.models.svc.cluster.local.:8000/v1": Address(
        "http", "vllm_0.models.svc.cluster.local", 8000, "/v1"
    ),
    "https://name.openai.azure.com/openai/v1": Address(
        "https", "name.openai.azure.com", 443, "/openai/v1"
    ),
}

REFUSED = [
    "",
    "api.openai.com",
    "ftp://example.com",
    "file:///etc/passwd",
    "gopher://example.com:70",
    "unix:///run/engine.sock",
    "//example.com/v1",
    "http://",
    "http:///v1",
    "http://:8000",
    "http://user@example.com/v1",
    "http://user:secret@example.com/v1",
    "http://a\\@b",
    "http://example.com/v1?x=1",
    "http://example.com/v1#x",
    "http://example.com:0/v1",
    "http://example.com:65536/v1",
    "http://example.com:port/v1",
    "http://example.com/v1\r\nX: y",
    "http://example.com /v1",
    "http://exa mple.com/v1",
    "http://example.com/%2e%2e",
    "http://bücher.example",
    "http://exam..ple/v1",
    "http://[::1",
    "http://[example.com]/",
    "http://[fe80::1%25eth0]/",
    "http://::1/",
    "http://" + "a" * 3_000,
]

FORBIDDEN = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "febf::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "::ffff:100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_r9_an_operator_may_name_public_private_and_loopback_addresses(url):
    assert parse_address(url) == ALLOWED[url]


@pytest.mark.parametrize("url", REFUSED)
def test_r9_anything_but_a_plain_http_base_url_is_refused(url):
    with pytest.raises(AddressRefused):
        parse_address(url)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_r9_link_local_and_metadata_addresses_are_refused_in_every_notation(text):
    assert address.why_forbidden(ipaddress.ip_address(text))
    literal = f"[{text}]" if ":" in text else text
    with pytest.raises(AddressRefused):
        parse_address(f"http://{literal}:80/v1")


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "::1", "10.0.0.1", "8.8.8.8", "2606:4700::1111", "::ffff:127.0.0.1"]
)
def test_r9_addresses_that_engines_live_at_are_not_forbidden(text):
    assert address.why_forbidden(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize(
    "host",
    ["metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"],
)
def test_r9_metadata_names_are_refused_without_asking_anyone(host):
    with pytest.raises(AddressRefused):
        parse_address(f"http://{host}/computeMetadata/v1")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://api.openai.com:8443/v1", "api.openai.com:8443"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://[fd12::1]", "[fd12::1]"),
    ],
)
def test_the_host_header_is_the_configured_name(url, authority):
    assert parse_address(url).authority == authority
    assert str(parse_address(url)).startswith(url.split(":")[0] + "://" + authority)


# --- Names ---------------------------------------------------------------------------------------


def _resolve(url, found, **options):
    """What a resolver gives for `url` when the system's look-up gives `found`, in turn."""
    answers = list(found)

    async def lookup(host, port):
        return answers.pop(0)

    return Resolver(parse_address(url), lookup=lookup, **options)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_r9_a_name_is_refused_if_any_of_its_addresses_is_forbidden(text):
    resolver = _resolve("http://engine.example/v1", [["127.0.0.1", text, "10.0.0.1"]])
    with pytest.raises(AddressRefused):
        asyncio.run(resolver.addresses())


@pytest.mark.parametrize(
    "host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.254.43518", "169.16689662"]
)
def test_r9_numbers_that_the_system_reads_as_a_metadata_address_are_refused(host):
    """Decimal, octal and hexadecimal forms pass as names and are caught where they are resolved."""
    with pytest.raises(AddressRefused):
        asyncio.run(Resolver(parse_address(f"http://{host}/v1")).addresses())


def test_r9_a_name_that_changes_its_address_is_checked_anew():
    """DNS rebinding: only what was checked is ever given out."""

    async def story():
        resolver = _resolve("http://engine.example", [["10.0.0.1"], ["169.254.169.254"]])
        assert await resolver.addresses() == ["10.0.0.1"]
        assert await resolver.addresses() == ["10.0.0.1"]  # Kept for a burst, not asked again.
        resolver.forget()
        with pytest.raises(AddressRefused):
            await resolver.addresses()

    asyncio.run(story())


def test_a_name_without_addresses_is_an_error_and_not_a_hang():
    with pytest.raises(OSError, match="no address"):
        asyncio.run(_resolve("http://engine.example", [[]]).addresses())


def test_doubled_addresses_are_tried_once():
    resolver = _resolve("http://engine.example", [["10.0.0.1", "10.0.0.1", "10.0.0.2"]])
    assert asyncio.run(resolver.addresses()) == ["10.0.0.1", "10.0.0.2"]


# --- Ourselves -----------------------------------------------------------------------------------

IP = ipaddress.ip_address


@pytest.mark.parametrize(
    ("target", "port", "listening", "expected"),
    [
        ("127.0.0.1", 8484, ("127.0.0.1", 8484), True),
        ("127.0.0.1", 8485, ("127.0.0.1", 8484), False),
        ("127.0.0.2", 8484, ("127.0.0.1", 8484), False),
        ("::ffff:127.0.0.1", 8484, ("127.0.0.1", 8484), True),
        ("127.0.0.1", 8484, ("localhost", 8484), True),
        ("::1", 8484, ("localhost", 8484), True),
        ("10.0.0.1", 8484, ("localhost", 8484), False),
        ("127.0.0.1", 8484, ("0.0.0.0", 8484), True),
        ("127.9.9.9", 8484, ("::", 8484), True),
        ("192.0.2.1", 8484, ("0.0.0.0", 8484), False),
        ("2001:db8::1", 8484, ("::", 8484), False),
        ("127.0.0.1", 8484, ("hall.example", 8484), True),
        ("192.0.2.1", 8484, ("hall.example", 8484), False),
    ],
)
def test_r9_our_own_address_is_known_in_every_form(target, port, listening, expected):
    """Attack 23: an upstream that is ourselves would answer itself for ever."""
    assert address.is_own(IP(target), port, [listening]) is expected


def test_r9_any_address_of_this_machine_is_our_own_when_we_listen_on_all():
    name = socket.gethostname()
    try:
        mine = socket.gethostbyname(name)
    except OSError:
        pytest.skip("this machine's own name has no address")
    assert address.is_own(IP(mine), 8484, [("0.0.0.0", 8484)])


def test_r9_a_name_that_leads_to_ourselves_is_refused():
    resolver = _resolve("http://hall.example:8484", [["127.0.0.1"]], own=[("127.0.0.1", 8484)])
    with pytest.raises(AddressRefused, match="own"):
        asyncio.run(resolver.addresses())


# --- Keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["sk-kh_live_abc", "sk-kh_", "a b", "a\r\nX-Evil: 1", "a\n", "schlüssel", "\x00", "k" * 5_000],
)
def test_r9_our_own_keys_and_keys_that_would_break_the_head_are_refused(key):
    assert address.refuse_key(key)


@pytest.mark.parametrize("key", ["", "sk-proj-abc_DEF-123", "gsk_x", "EMPTY", "a.b.c=="])
def test_keys_of_other_makers_are_taken(key):
    assert address.refuse_key(key) is None
