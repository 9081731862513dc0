"""The address of a Redis, and signing in there."""

import asyncio

import pytest
from process import key, process

from keyhall.counters.redis import link
from keyhall.counters.redis.address import Address, AddressError, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://cache", Address("cache")),
        ("redis://cache:7000/3", Address("cache", 7000, database=3)),
        ("rediss://u:p%40ss@cache", Address("cache", user="u", password="p@ss", is_tls=True)),
        ("redis://:secret@[::1]:6380", Address("::1", 6380, password="secret")),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock")),
        (
            "unix://:p@/run/redis.sock?db=2",
            Address(path="/run/redis.sock", password="p", database=2),
        ),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse(text) == address
    assert (parse(text).context() is not None) == text.startswith("rediss:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cache:6379", "begin with"),
        ("http://cache", "begin with"),
        ("redis://", "no host"),
        ("unix://", "path"),
        ("redis://cache/x", "number"),
        ("redis://cache:port", "no address"),
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str, says: str) -> None:
    with pytest.raises(AddressError, match=says) as refused:
        parse(text)
    assert "cache" not in str(refused.value)


def test_a_password_is_never_shown() -> None:
    address = parse("redis://me:secret@cache")
    assert "secret" not in repr(address) + str(address)
    assert str(address) == "cache:6379"
    assert str(parse("unix:///run/redis.sock")) == "/run/redis.sock"


def test_it_signs_in_and_chooses_its_database(own_redis, monkeypatch) -> None:
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.3)  # So long a first request waits for nothing.
    own_redis.tell("CONFIG", "SET", "requirepass", "secret")
    url = own_redis.url.replace("unix://", "unix://:secret@") + "?db=3"

    async def story(url: str) -> str:
        async with process(url) as one:
            await one.use(key(rpm=5), 1)
            return one.counters.degraded() or "shared"

    def says(word: str, url: str) -> bool:
        """A busy machine may be late with its answer, which is another reason to be alone."""
        return any(word in asyncio.run(story(url)) for _ in range(20))

    assert says("shared", url)
    assert says("WRONGPASS", url.replace("secret", "wrong"))
    assert says("shared", url.replace("//:", "//default:"))
    assert says("NOAUTH", own_redis.url)


def test_it_connects_by_tcp(own_redis) -> None:
    with __import__("socket").socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own_redis.tell("CONFIG", "SET", "port", port)

    async def story() -> None:
        async with process(f"redis://127.0.0.1:{port}") as one:
            assert await one.use(key(rpm=5), 9) == 5

    asyncio.run(story())
