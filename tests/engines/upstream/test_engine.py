"""What goes out to an upstream, and what the operator is told of it."""

import asyncio
import datetime
import ipaddress
import json
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from patience import PATIENCE_SECONDS
from scripted_upstream import (
    COMPLETION,
    QUICK,
    UNHURRIED,
    Upstream,
    answer,
    ask,
    content,
    engine_for,
    stream,
)

from keyhall import errors
from keyhall.engines.upstream import engine as engine_module
from keyhall.engines.upstream.address import AddressRefused, Resolver, parse_address
from keyhall.engines.upstream.engine import UpstreamEngine, default_cap_field
from keyhall.errors import ApiError
from keyhall.policy.secrets import Secret

KEY = "sk-upstream-secret-0001"


async def plain(peer):
    await peer.send(stream() if b'"stream":true' in peer.body else answer())


# --- The request ---------------------------------------------------------------------------------


def test_attack_8_an_upstream_gets_exactly_our_headers(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream, hop="hall-1")
            await ask(engine)[1]
            head = upstream.requests[0].head
            await engine.close()
            return head.split(b"\r\n"), upstream.port

    lines, port = run(story())
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert lines[1] == b"Host: 127.0.0.1:%d" % port
    assert [line.split(b":")[0] for line in lines[2:-2]] == [
        b"Accept",
        b"Accept-Encoding",
        b"User-Agent",
        b"Authorization",
        b"X-Keyhall-Hop",
        b"Content-Type",
        b"Content-Length",
    ]
    assert b"Accept-Encoding: identity" in lines
    assert b"Authorization: Bearer " + KEY.encode() in lines
    assert b"X-Keyhall-Hop: hall-1" in lines


def test_without_a_key_no_authorization_is_sent(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream, key="")
            await ask(engine)[1]
            await engine.close()
            return upstream.requests[0].head

    assert b"authorization" not in run(story()).lower()


def test_r4_the_engine_is_told_its_own_model_name_and_the_cap(run):
    async def story(cap_field):
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream, cap_field=cap_field)
            await ask(engine)[1]
            await ask(engine, stream=True)[1]
            await engine.close()
            return [json.loads(peer.body) for peer in upstream.requests]

    whole, streamed = run(story("max_tokens"))
    assert whole["model"] == "up-model"
    assert whole["max_tokens"] == 100
    assert not whole.get("stream")
    assert streamed["stream"] is True
    assert streamed["stream_options"] == {"include_usage": True}
    newer, _ = run(story("max_completion_tokens"))
    assert newer["max_completion_tokens"] == 100
    assert "max_tokens" not in newer


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("http://127.0.0.1:8000/v1", "max_tokens"),
        ("https://api.openai.com.evil.example/v1", "max_tokens"),
    ],
)
def test_r4_the_caps_name_is_the_one_that_the_server_knows(url, field):
    assert default_cap_field(parse_address(url)) == field


def test_r5_the_input_counts_as_accepted_once_it_is_on_a_connection(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream)
            running, done = ask(engine)
            assert not running.is_accepted
            await done
            assert running.is_accepted
            assert running.produced == 1
            assert running.usage.total_tokens == 5
            running, done = ask(engine)
            assert running.is_accepted  # A connection was free: it was sent at once.
            await done
            await engine.close()

    run(story())


def test_r12_usage_is_known_when_the_answer_has_ended(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream)
            running, done = ask(engine, stream=True)
            assert not running.is_finished
            assert content(await done) == "Hello"
            assert running.is_finished
            await engine.close()
            return running

    running = run(story())
    assert running.usage.prompt_tokens == 3
    assert running.produced == 1


# --- Secrets and addresses -----------------------------------------------------------------------


def test_i4_the_key_shows_in_nothing_that_is_printed():
    engine = UpstreamEngine("up", "http://127.0.0.1:1/v1", Secret(KEY))
    for text in (repr(engine), str(engine), repr(engine.pool), repr(engine.address)):
        assert KEY not in text
        assert "upstream-secret" not in text
    assert "127.0.0.1" in repr(engine)


@pytest.mark.parametrize("key", ["sk-kh_live_abcdefghijkl_x", "two words", "a\r\nX-Evil: 1"])
def test_r9_an_engine_is_not_made_with_one_of_our_own_keys_or_a_broken_one(key):
    with pytest.raises(AddressRefused):
        UpstreamEngine("up", "http://127.0.0.1:1/v1", key)


def test_r9_an_engine_is_not_made_with_a_forbidden_address():
    with pytest.raises(AddressRefused):
        UpstreamEngine("up", "http://169.254.169.254/v1", KEY)


def test_r9_our_own_address_is_refused_where_it_is_resolved(run):
    async def story():
        async with Upstream(plain) as upstream:
            engine = engine_for(upstream, own=[("0.0.0.0", upstream.port)])
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem is errors.ENGINE_FAILED
            assert "own" in await engine.check()
            assert upstream.connections == 0
            await engine.close()

    run(story())


def test_r9_the_connection_goes_to_the_address_that_was_checked(run):
    """The name is not looked up a second time between the check and the connection."""

    async def story():
        asked = []

        async def lookup(host, port):
            asked.append(host)
            return ["127.0.0.1"]

        async with Upstream(plain) as upstream:
            url = f"http://engine.example:{upstream.port}/v1"
            resolver = Resolver(parse_address(url), lookup=lookup)
            engine = engine_for(upstream, url=url, resolver=resolver)
            await ask(engine)[1]
            assert asked == ["engine.example"]
            assert b"Host: engine.example:" in upstream.requests[0].head
            await engine.close()

    run(story())


def test_the_next_address_is_tried_when_the_first_refuses(run):
    async def story():
        async def lookup(host, port):
            return ["127.0.0.2", "127.0.0.1"]

        async with Upstream(plain) as upstream:
            url = f"http://engine.example:{upstream.port}/v1"
            resolver = Resolver(parse_address(url), lookup=lookup)
            engine = engine_for(upstream, url=url, resolver=resolver)
            await ask(engine)[1]
            assert upstream.connections == 1
            await engine.close()

    run(story())


# --- Check and models ----------------------------------------------------------------------------


def models(*names):
    return answer({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def sends(data):
    async def script(peer):
        await peer.send(data)

    return script


async def _checked(script, **options):
    async with Upstream(script) as upstream:
        engine = engine_for(upstream, **options)
        line = await engine.check()
        requests = list(upstream.requests)
        await engine.close()
        return line, requests


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_a_list_of_models_is_ready(run, status):
    line, _ = run(_checked(sends(answer({}, status=status))))
    assert line is None


def test_an_engine_that_lists_its_models_is_ready(run):
    line, requests = run(_checked(sends(models("a", "b"))))
    assert line is None
    assert requests[0].head.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"Authorization: Bearer " + KEY.encode() in requests[0].head


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer({"error": {"message": f"bad key {KEY}"}}, status=401), "refused Keyhall's"),
        (answer({}, status=500), "status 500"),
        (answer({}, status=302), "redirect"),
        (b"nonsense\r\n\r\n", "not valid HTTP"),
        (b"", "no answer within"),
    ],
)
def test_a_check_says_in_one_line_what_is_wrong(run, data, words):
    line, _ = run(_checked(sends(data), deadlines=UNHURRIED if data else QUICK))
    assert words in line
    assert "charged" not in line, "what a caller is told, who pays, helps no operator"
    assert "\n" not in line
    assert KEY not in line


def test_a_check_has_a_deadline_of_its_own(run, monkeypatch):
    monkeypatch.setattr(engine_module, "CHECK_SECONDS", 0.1)

    async def silent(peer):
        await peer.hang()

    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(upstream, deadlines=None)
            assert await engine.check() == "no answer within 0.1 s"
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


def test_a_check_that_is_cancelled_leaves_no_connection_behind(run):
    async def silent(peer):
        await peer.hang()

    async def story():
        async with Upstream(silent) as upstream:
            engine = engine_for(upstream)
            checking = asyncio.create_task(engine.check())
            while not upstream.requests:
                await asyncio.sleep(0.001)
            checking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await checking
            assert engine.pool.open_connections == 0
            await engine.close()

    run(story())


def test_an_engine_that_is_away_says_why(run):
    async def story():
        async with Upstream(plain) as upstream:
            url = upstream.url
        engine = engine_for(upstream, url=url)
        line = await engine.check()
        assert line.startswith("no connection to it could be made")
        await engine.close()

    run(story())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (models("b", "a", "b"), ["b", "a"]),
        (models(), []),
        (models("", "x" * 300, "good", "bad\nname"), ["good"]),
        (models(*(f"m{number}" for number in range(5_000))), [f"m{n}" for n in range(2_000)]),
        (answer({}, status=404), []),
    ],
)
def test_r9_the_models_of_an_upstream_are_listed_within_bounds(run, data, expected):
    async def story():
        async with Upstream(sends(data)) as upstream:
            engine = engine_for(upstream)
            names = await engine.list_models()
            await engine.close()
            return names

    assert run(story()) == expected


@pytest.mark.parametrize(
    "data", [answer(b"<html>"), answer({"data": 7}), answer({"data": [{"id": 7}]}), answer(b"\xff")]
)
def test_r9_a_list_of_models_that_cannot_be_read_is_a_failure(run, data):
    async def story():
        async with Upstream(sends(data)) as upstream:
            engine = engine_for(upstream)
            with pytest.raises(ApiError) as caught:
                await engine.list_models()
            assert caught.value.problem is errors.ENGINE_FAILED
            await engine.close()

    run(story())


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for `engine.example` and 127.0.0.1 that signed itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine.example")])
    now = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    names = [
        x509.DNSName("engine.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now.replace(year=2120))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "cert.pem"
    pem.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


@pytest.fixture
def server_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _pinned(upstream, host):
    """`host` leads to the scripted upstream."""

    async def lookup(name, port):
        return ["127.0.0.1"]

    url = f"https://{host}:{upstream.port}/v1"
    return {"url": url, "resolver": Resolver(parse_address(url), lookup=lookup)}


def test_tls_with_a_ca_of_ones_own_is_trusted_by_name(run, certificate, server_tls):
    chosen = []

    async def script(peer):
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await plain(peer)

    async def story():
        async with Upstream(script, tls=server_tls) as upstream:
            engine = engine_for(
                upstream,
                ca_file=str(certificate / "cert.pem"),
                **_pinned(upstream, "engine.example"),
            )
            for _ in range(2):
                assert (await ask(engine)[1]).choices[0].message.content == "Hello"
            assert content(await ask(engine, stream=True)[1]) == "Hello"
            assert upstream.connections == 1
            await engine.close()

    run(story())
    assert set(chosen) == {"http/1.1"}


def test_tls_a_large_answer_and_a_reader_that_leaves(run, certificate, server_tls):
    long = COMPLETION | {"id": "x" * 3_000_000}

    async def script(peer):
        await peer.send(answer(long) if len(peer.server.requests) == 1 else b"HTTP/1.1 200 OK\r\n")
        await peer.hang()

    async def story():
        async with Upstream(script, tls=server_tls) as upstream:
            engine = engine_for(upstream, ca_file=str(certificate / "cert.pem"))
            assert (await ask(engine)[1]).choices[0].message.content == "Hello"
            _, done = ask(engine)
            while len(upstream.requests) < 2:
                await asyncio.sleep(0.001)
            done.cancel()
            await asyncio.wait_for(upstream.gone.wait(), PATIENCE_SECONDS)
            await engine.close()

    run(story())


@pytest.mark.parametrize("host", ["engine.example", "other.example"])
def test_tls_an_untrusted_or_misnamed_upstream_gets_no_request(run, certificate, server_tls, host):
    async def story():
        async with Upstream(plain, tls=server_tls) as upstream:
            ca = str(certificate / "cert.pem") if host == "other.example" else None
            engine = engine_for(upstream, ca_file=ca, **_pinned(upstream, host))
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem is errors.ENGINE_FAILED
            assert "TLS" in str(caught.value)
            assert host not in str(caught.value)
            assert "certificate" in (await engine.check()).lower()
            assert not upstream.requests
            await engine.close()

    run(story())


def test_tls_towards_a_server_that_speaks_plain_http_is_a_failure(run):
    async def story():
        async with Upstream(plain) as upstream:
            url = upstream.url.replace("http:", "https:")
            engine = engine_for(upstream, url=url, deadlines=QUICK)
            with pytest.raises(ApiError) as caught:
                await ask(engine)[1]
            assert caught.value.problem in (errors.ENGINE_FAILED, errors.ENGINE_TIMEOUT)
            await engine.close()

    run(story())


def test_tls_a_ca_file_that_cannot_be_read_is_told(run, tmp_path):
    (tmp_path / "empty.pem").write_text("no certificate")

    async def story(path):
        async with Upstream(plain) as upstream:
            url = upstream.url.replace("http:", "https:")
            engine = engine_for(upstream, url=url, ca_file=str(path))
            assert "CA certificate" in await engine.check()
            await engine.close()

    run(story(tmp_path / "empty.pem"))
    run(story(tmp_path / "missing.pem"))


# --- Its moderation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "flagged"),
    [
        (b'{"results": [{"flagged": false}, {"flagged": true}]}', True),
        (b'{"results": [{"flagged": false, "categories": {}}]}', False),
        (b'{"results": []}', None),
        (b'{"results": 3}', None),
        (b"<html>", None),
        (None, None),
    ],
)
def test_an_upstream_is_asked_what_its_moderation_says_and_told_the_text_alone(run, reply, flagged):
    async def moderates(peer):
        if reply is None:
            await peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            await peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply)
            )

    async def story():
        async with Upstream(moderates) as upstream:
            engine = engine_for(upstream)
            found = await engine.moderate("is it?")
            await engine.close()
            return found, upstream.requests[0]

    found, request = run(story())
    assert found is flagged
    assert request.head.startswith(b"POST /v1/moderations HTTP/1.1\r\n")
    assert json.loads(request.body) == {"input": "is it?"}
