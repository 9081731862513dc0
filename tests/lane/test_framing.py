"""Framing: what is ambiguous is refused with 400 and a closed connection, and nothing hangs.

The tables are the expected behaviour; a smuggled request rides behind every ambiguous message.
"""

import os
import re
from pathlib import Path

import pytest
from raw_line import cases

CHAT = "/v1/chat/completions"
BODY = b'{"model":"v1","messages":[{"role":"user","content":"hi"}],"max_tokens":1}'
SIZE = len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY)
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: smuggled\r\nAuthorization: Bearer %b\r\n\r\n"

# Lines between the request line and the empty line. `{n}` is the body's length.
REFUSED_WITH_LENGTH = {
    "a length and chunks": "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n",
    "chunks and a length": "Transfer-Encoding: chunked\r\nContent-Length: {n}\r\n",
    "a length and an unknown coding": "Content-Length: {n}\r\nTransfer-Encoding: xchunked\r\n",
    "a length and identity": "Content-Length: {n}\r\nTransfer-Encoding: identity\r\n",
    "a length and an empty coding": "Content-Length: {n}\r\nTransfer-Encoding:\r\n",
    "two equal lengths": "Content-Length: {n}\r\nContent-Length: {n}\r\n",
    "two different lengths": "Content-Length: {n}\r\nContent-Length: 5\r\n",
    "two lengths in one line": "Content-Length: {n}, {n}\r\n",
    "two different lengths in one line": "Content-Length: 5,{n}\r\n",
    "a plus sign": "Content-Length: +{n}\r\n",
    "a minus sign": "Content-Length: -{n}\r\n",
    "a hexadecimal length": "Content-Length: 0x{n}\r\n",
    "an underscore": "Content-Length: 1_0\r\n",
    "a decimal point": "Content-Length: {n}.0\r\n",
    "an exponent": "Content-Length: 1e2\r\n",
    "letters behind the length": "Content-Length: {n}a\r\n",
    "two numbers": "Content-Length: 1 {n}\r\n",
    "a quoted length": 'Content-Length: "{n}"\r\n',
    "an empty length": "Content-Length:\r\n",
    "a length beyond 64 bits": "Content-Length: 18446744073709551617\r\n",
    "a length of many digits": "Content-Length: " + "9" * 500 + "\r\n",
    "a space before the colon of the length": "Content-Length : {n}\r\n",
    "a tab before the colon of the length": "Content-Length\t: {n}\r\n",
    "a folded length": "Content-Length:\r\n {n}\r\n",
    "a folded header": "X-Long: a\r\n b\r\nContent-Length: {n}\r\n",
    "a header folded with a tab": "X-Long: a\r\n\tb\r\nContent-Length: {n}\r\n",
    "a header line that begins with a space": " X-Early: a\r\nContent-Length: {n}\r\n",
    "a line end without CR": "X-A: a\nContent-Length: {n}\r\n",
    "a line end without LF": "X-A: a\rContent-Length: {n}\r\n",
    "CR CR LF": "X-A: a\r\r\nContent-Length: {n}\r\n",
    "NUL in a value": "X-A: a\x00b\r\nContent-Length: {n}\r\n",
    "NUL in a name": "X-\x00A: a\r\nContent-Length: {n}\r\n",
    "an escape in a value": "X-A: a\x1b[31mb\r\nContent-Length: {n}\r\n",
    "DEL in a value": "X-A: a\x7fb\r\nContent-Length: {n}\r\n",
    "a vertical tab in a value": "X-A: a\x0bb\r\nContent-Length: {n}\r\n",
    "a vertical tab in a name": "X-A\x0b: a\r\nContent-Length: {n}\r\n",
    "a space in a name": "X A: a\r\nContent-Length: {n}\r\n",
    "a space before a colon": "X-A : a\r\nContent-Length: {n}\r\n",
    "a letter beyond ASCII in a name": "X-\xc4: a\r\nContent-Length: {n}\r\n",
    "no name": ": a\r\nContent-Length: {n}\r\n",
    "no colon": "X-A\r\nContent-Length: {n}\r\n",
    "a second Host": "Host: other\r\nContent-Length: {n}\r\n",
    "a second key": "Authorization: Bearer other\r\nContent-Length: {n}\r\n",
}
REFUSED_WITH_CHUNKS = {
    "identity before chunked": "Transfer-Encoding: identity, chunked\r\n",
    "identity behind chunked": "Transfer-Encoding: chunked, identity\r\n",
    "gzip before chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "chunked twice": "Transfer-Encoding: chunked, chunked\r\n",
    "chunked twice in two lines": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked and identity in two lines": (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"
    ),
    "identity and chunked in two lines": (
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"
    ),
    "chunked with a letter before": "Transfer-Encoding: xchunked\r\n",
    "chunked with a letter behind": "Transfer-Encoding: chunkedx\r\n",
    "chunked in quotes": 'Transfer-Encoding: "chunked"\r\n',
    "chunked with a parameter": "Transfer-Encoding: chunked;q=1\r\n",
    "chunked with a comma behind": "Transfer-Encoding: chunked,\r\n",
    "chunked with a comma before": "Transfer-Encoding: ,chunked\r\n",
    "chunked behind a vertical tab": "Transfer-Encoding: \x0bchunked\r\n",
    "chunked behind NUL": "Transfer-Encoding: \x00chunked\r\n",
    "chunked before a no-break space": "Transfer-Encoding: chunked\xa0\r\n",
    "chunked in a folded line": "Transfer-Encoding:\r\n chunked\r\n",
    "a space before the colon of chunked": "Transfer-Encoding : chunked\r\n",
    "an empty coding": "Transfer-Encoding:\r\n",
    "chunks in HTTP/1.0": "Transfer-Encoding: chunked\r\n",
}
# Bodies behind `Transfer-Encoding: chunked`.
REFUSED_CHUNKS = {
    "a size beyond 64 bits": b"fffffffffffffffff\r\n" + BODY,
    "a size with 0x": b"0x%x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "a size with a plus": b"+%x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "a size with a minus": b"-1\r\n%b\r\n0\r\n\r\n" % BODY,
    "a space before the size": b" %x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "a space behind the size": b"%x \r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "an empty size": b"\r\n%b\r\n0\r\n\r\n" % BODY,
    "letters for a size": b"xyz\r\n%b\r\n0\r\n\r\n" % BODY,
    "a size without CR": b"%x\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "a size without LF": b"%x\r%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "data longer than the size": b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE - 1, BODY),
    "data shorter than the size": b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE + 1, BODY),
    "data that ends without CR": b"%x\r\n%b\n0\r\n\r\n" % (SIZE, BODY),
    "data that ends without CRLF": b"%x\r\n%b0\r\n\r\n" % (SIZE, BODY),
    "an extension with a line end": b"%x;a\nb\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "an extension without a semicolon": b"%x a\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "an extension of control characters": b"%x;\x00\x01\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "a trailer without a colon": b"%x\r\n%b\r\n0\r\nX-A\r\n\r\n" % (SIZE, BODY),
    "a trailer with NUL": b"%x\r\n%b\r\n0\r\nX-A: \x00\r\n\r\n" % (SIZE, BODY),
    "a trailer that is a length": b"%x\r\n%b\r\n0\r\nContent-Length: 9\r\n\r\n" % (SIZE, BODY),
    "a trailer that is a coding": (
        b"%x\r\n%b\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" % (SIZE, BODY)
    ),
    "a folded trailer": b"%x\r\n%b\r\n0\r\nX-A: a\r\n b\r\n\r\n" % (SIZE, BODY),
}
# Whole heads; nothing is put in.
REFUSED_HEADS = {
    "no Host": b"POST {target} HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"GET {target}\r\n\r\n",
    "HTTP/2.0 by name": b"POST {target} HTTP/2.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2": b"POST {target} HTTP/1.2\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/3": b"POST {target} HTTP/3\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/01.1": b"POST {target} HTTP/01.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "http/1.1": b"POST {target} http/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "no version": b"POST {target} \r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS's first bytes": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "a method in lower case": b"post {target} HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in mixed case": b"PoST {target} HTTP/1.1\r\nHost: a\r\n\r\n",
    "an unknown method": b"BREW {target} HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"POST {target} x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab for a space": b"POST\t{target}\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"POST {target}\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "CR in the target": b"POST {target}\rHTTP/1.1\r\nHost: a\r\n\r\n",
    "a request line that ends without CR": b"POST {target} HTTP/1.1\nHost: a\r\n\r\n",
    "a head that ends without CR": b"POST {target} HTTP/1.1\r\nHost: a\r\n\n",
    "a target that is no path": b"POST v1/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n",
    "only line feeds": b"POST {target} HTTP/1.1\nHost: a\n\n",
    "random bytes": bytes(range(128, 256)) + b"\r\n\r\n",
}
TARGETS = [CHAT, "/healthz", "/v1/models", "/nowhere"]


def refused(answers, closed, name):
    """Exactly one answer, which is 400, says so, and ends the connection."""
    assert [answer.status for answer in answers] == [400], name
    assert answers[0].error["code"] == "malformed_http", name
    assert answers[0].closes, name
    assert closed, name


def head(door, target, lines, version="1.1"):
    return (
        f"POST {target} HTTP/{version}\r\nHost: test\r\nAuthorization: Bearer {door.key}\r\n"
        f"Content-Type: application/json\r\n{lines}\r\n"
    ).encode("latin-1")


@pytest.mark.parametrize("target", TARGETS)
def test_i11_a_length_that_can_be_read_in_two_ways_is_refused(door, target):
    async def story():
        smuggled = SMUGGLED % door.key.encode()
        for name, lines in REFUSED_WITH_LENGTH.items():
            data = head(door, target, lines.replace("{n}", str(SIZE))) + BODY + smuggled
            refused(*await door.say(data), name)

    door.run(story())


@pytest.mark.parametrize("target", TARGETS)
def test_i11_a_transfer_coding_other_than_plain_chunked_is_refused(door, target):
    async def story():
        smuggled = SMUGGLED % door.key.encode()
        for name, lines in REFUSED_WITH_CHUNKS.items():
            version = "1.0" if "1.0" in name else "1.1"
            data = head(door, target, lines, version) + CHUNKED + smuggled
            refused(*await door.say(data), name)

    door.run(story())


@pytest.mark.parametrize("target", [CHAT, "/v1/models"])
def test_i11_a_malformed_chunk_is_refused(door, target):
    async def story():
        smuggled = SMUGGLED % door.key.encode()
        for name, chunks in REFUSED_CHUNKS.items():
            data = head(door, target, "Transfer-Encoding: chunked\r\n") + chunks + smuggled
            refused(*await door.say(data), name)

    door.run(story())


@pytest.mark.parametrize("target", TARGETS)
def test_i11_a_malformed_request_line_is_refused(door, target):
    async def story():
        for name, data in REFUSED_HEADS.items():
            refused(*await door.say(data.replace(b"{target}", target.encode())), name)

    door.run(story())


def test_i11_bytes_cut_anywhere_are_understood_the_same(door):
    """A parser that is fed byte by byte, or cut in two at each place, says the same."""

    async def pieces(data, cuts):
        async with await door.raw() as raw:
            at = 0
            for cut in [*cuts, len(data)]:
                await raw.send(data[at:cut])
                at = cut
                await raw.quiet()
            return [answer.status for answer in raw.answers()], raw.is_over

    async def story():
        good = head(door, CHAT, "Transfer-Encoding: chunked\r\n") + CHUNKED
        bad = head(door, CHAT, "Transfer-Encoding: chunked, chunked\r\n") + CHUNKED
        for cut in range(1, len(good), 3):
            assert await pieces(good, [cut]) == ([200], False), cut
        assert await pieces(good, range(1, len(good))) == ([200], False)
        for cut in range(1, len(bad), 7):
            assert await pieces(bad, [cut]) == ([400], True), cut

    door.run(story())


# --- What is not refused ------------------------------------------------------------------------

# Target -> status. Nothing is decoded, resolved or folded before it is compared.
TARGETS_ANSWERED = {
    CHAT: 200,
    CHAT + "?": 200,
    CHAT + "?a=/../b&a=%2e%2e": 200,
    "//v1/chat/completions": 404,
    "/v1//chat/completions": 404,
    "/v1/chat/completions/": 404,
    "/v1/chat/completions//": 404,
    "/v1/../v1/chat/completions": 404,
    "/v1/./chat/completions": 404,
    "/v1/%2e%2e/v1/chat/completions": 404,
    "/v1/..%2fv1/chat/completions": 404,
    "/v1%2fchat/completions": 404,
    "/v1/chat%2Fcompletions": 404,
    "/v1/chat/completions%00": 404,
    "/v1/chat/completions%20": 404,
    "/v1/chat/completions;a=b": 404,
    "/v1/chat;/completions": 404,
    "/v1/..;/metrics": 404,
    "/v1\\chat\\completions": 404,
    "/%76%31/chat/completions": 404,
    "/V1/chat/completions": 404,
    "/v1/Chat/Completions": 404,
    "/v1": 404,
    "/v1?a": 404,
    "/v1/": 404,
    "/v1/chat": 404,
    "/v10/chat/completions": 404,
    "/v1/chat/completions/x": 404,
    "/v1/chat/completions.": 404,
    "http://test/v1/chat/completions": 400,
    "http://evil.example/v1/chat/completions": 400,
    "https://test:443/v1/chat/completions": 400,
    "http://test@evil/v1/models": 400,
    "http://test?a": 400,
    "*": 400,
    "/healthz/../v1/models": 404,
    "/metrics/../v1/chat/completions": 404,
    "/v1/models/../../metrics": 405,  # The name of a model, which nobody looks for in a path.
    "/v1/models": 405,
    "/v1/models/v1": 405,
    "/v1/models/%2e%2e": 405,
    "/healthz": 405,
    "/healthz#x": 405,
}


def test_attack_3_a_target_is_compared_as_it_was_sent(door):
    async def story():
        for target, status in TARGETS_ANSWERED.items():
            data = head(door, target, f"Content-Length: {SIZE}\r\n") + BODY
            answers, _ = await door.say(data)
            assert [answer.status for answer in answers] == [status], target
            if status >= 400:
                assert answers[0].error["message"], target

    door.run(story())


def test_attack_3_no_header_changes_where_a_request_goes(door):
    names = [
        "X-Original-URL: /v1/models",
        "X-Rewrite-URL: /v1/models",
        "X-HTTP-Method-Override: GET",
        "X-Forwarded-Prefix: /admin",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=127.0.0.1;host=evil.example",
        "Host-Override: evil.example",
        "Referer: http://evil.example/\xff",
        "Cookie: a=b; authorization=c",
    ]

    async def story():
        for name in names:
            data = head(door, CHAT, f"{name}\r\nContent-Length: {SIZE}\r\n") + BODY
            answers, closed = await door.say(data)
            assert [answer.status for answer in answers] == [200], name
            assert not closed
            assert b"evil" not in answers[0].body

    door.run(story())


HOSTS = ["", "x/abc?", "a b", "evil.example:99999", "[::1", "a" * 5000, "\xff\xfe", "@", "..", "*"]


def test_attack_3_the_host_header_decides_nothing(door):
    async def story():
        for host in HOSTS:
            for target, status in {CHAT: 200, "/healthz": 405, "/x": 404}.items():
                data = (
                    f"POST {target} HTTP/1.1\r\nHost: {host}\r\n"
                    f"Authorization: Bearer {door.key}\r\nContent-Length: {SIZE}\r\n\r\n"
                ).encode("latin-1") + BODY
                answers, _ = await door.say(data)
                assert [answer.status for answer in answers] == [status], (host, target)

    door.run(story())


CHUNKS_ANSWERED = {
    "one chunk": CHUNKED,
    "chunks of one byte": b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    "leading zeros": b"0000%x\r\n%b\r\n000\r\n\r\n" % (SIZE, BODY),
    "upper case": b"%X\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY),
    "extensions": b'%x;a=b;c="d e";f\r\n%b\r\n0;last\r\n\r\n' % (SIZE, BODY),
    "trailers": b"%x\r\n%b\r\n0\r\nX-A: a\r\nHost: b\r\n\r\n" % (SIZE, BODY),
    "a trailer that is a key": b"%x\r\n%b\r\n0\r\nAuthorization: Bearer no\r\n\r\n" % (SIZE, BODY),
}


def test_chunks_that_are_well_formed_are_read(door):
    async def story():
        for name, chunks in CHUNKS_ANSWERED.items():
            for coding in ("chunked", "Chunked", "  CHUNKED "):
                data = head(door, CHAT, f"Transfer-Encoding: {coding}\r\n") + chunks
                async with await door.raw() as raw:
                    answers = await raw.say(data + data)
                    assert [answer.status for answer in answers] == [200, 200], (name, coding)
                    assert not raw.is_over

    door.run(story())


UPGRADES = [
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    "Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n",
    "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    "Upgrade: h2c\r\n",
    "Connection: Upgrade\r\n",
    "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
]


@pytest.mark.parametrize("upgrade", UPGRADES)
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(door, upgrade):
    """Java's client offers HTTP/2 in every request; most Python servers then lose the body."""

    async def story():
        sized = head(door, CHAT, f"{upgrade}Content-Length: {SIZE}\r\n") + BODY
        chunked = head(door, CHAT, f"{upgrade}Transfer-Encoding: chunked\r\n") + CHUNKED
        elsewhere = head(door, "/healthz", f"{upgrade}Content-Length: {SIZE}\r\n") + BODY
        for data in (sized, chunked):
            async with await door.raw() as raw:
                answers = await raw.say(data + data + sized)
                assert [answer.status for answer in answers] == [200, 200, 200]
                assert not raw.is_over
            async with await door.raw() as raw:  # The body comes later.
                cut = len(data) - 20
                assert await raw.say(data[:cut]) == []
                answers = await raw.say(data[cut:])
                assert [answer.status for answer in answers] == [200]
        answers, _ = await door.say(elsewhere + elsewhere)
        assert [answer.status for answer in answers] == [405, 405]
        answers, closed = await door.say(head(door, CHAT, f"{upgrade}Connection: close\r\n"))
        assert [answer.status for answer in answers] == [400]
        assert closed

    door.run(story())


def test_an_upgrade_does_not_hide_ambiguous_framing(door):
    async def story():
        smuggled = SMUGGLED % door.key.encode()
        for upgrade in UPGRADES:
            for name in ("a length and chunks", "two different lengths", "a second Host"):
                lines = upgrade + REFUSED_WITH_LENGTH[name].replace("{n}", str(SIZE))
                refused(*await door.say(head(door, CHAT, lines) + BODY + smuggled), name)
            lines = upgrade + "Transfer-Encoding: gzip, chunked\r\n"
            refused(*await door.say(head(door, CHAT, lines) + CHUNKED + smuggled), upgrade)

    door.run(story())


def test_connect_is_refused_and_the_connection_closes(door):
    async def story():
        for target in ("evil.example:443", CHAT, "/healthz", "test:80/v1/models"):
            for lines in ("", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Content-Length: 5\r\n"):
                data = f"CONNECT {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode()
                answers, closed = await door.say(data + SMUGGLED % door.key.encode())
                assert [answer.status for answer in answers] == [405 if target == CHAT else 400], (
                    target,
                    lines,
                )
                assert closed, (target, lines)

    door.run(story())


def test_data_behind_a_close_is_not_answered(door):
    async def story():
        smuggled = SMUGGLED % door.key.encode()
        for lines in ("Connection: close\r\n", "Connection: keep-alive, Close\r\n"):
            data = head(door, CHAT, f"{lines}Content-Length: {SIZE}\r\n") + BODY
            answers, closed = await door.say(data + smuggled + smuggled)
            assert [answer.status for answer in answers] == [200], lines
            assert answers[0].closes
            assert closed
        data = head(door, CHAT, f"Content-Length: {SIZE}\r\n", "1.0") + BODY
        answers, closed = await door.say(data + smuggled)
        assert [answer.status for answer in answers] == [200]
        assert closed

    door.run(story())


# --- llhttp's corpus ----------------------------------------------------------------------------

FILES = [
    "connection",
    "content-length",
    "finish",
    "invalid",
    "lenient-header-value-relaxed",
    "lenient-headers",
    "lenient-version",
    "method",
    "pausing",
    "pipelining",
    "sample",
    "transfer-encoding",
    "uri",
]
# Titles of cases in which the bytes are broken or ambiguous, whatever the target is.
_BROKEN = re.compile(
    r"^(Error on|Invalid|Illegal|Corrupted|Missing (CR|LF)|Spaces? (before|after) |Only LFs|"
    r"Headers separated|Empty headers|ICE protocol, but|Line folding|No LF|Unbalanced|"
    r"Header value|Chunk (header|data) not)"
)


def corpus(name):
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        pytest.skip("KEYHALL_CORPORA is not set: llhttp's HTTP cases were not tried")
    path = Path(folder) / "http" / "request" / f"{name}.md"
    found = cases(path.read_text(encoding="utf-8"))
    assert found
    return found


def variants(door, data):
    """A case as it is; with a host; and aimed at the lane, with a key."""
    yield data
    line_end = b"\r\n" if b"\r\n" in data else b"\n"
    host = b"" if re.search(rb"(?i)\nhost\s*:", data) else b"Host: test" + line_end
    yield data.replace(line_end, line_end + host, 1)
    aimed = re.sub(rb"^(\s*[A-Z-]+) \S+", rb"\1 /v1/chat/completions", data, count=1)
    key = b"Authorization: Bearer " + door.key.encode() + line_end
    yield aimed.replace(line_end, line_end + host + key, 1)


def is_told(answer, data):
    """In the table's shape; as a page to who asks for pages, as browsers do."""
    if answer.headers.get("content-type", "").startswith("text/html"):
        return b"text/html" in data and b"<h1>" in answer.body
    return bool(answer.error)


@pytest.mark.parametrize("name", FILES)
def test_i16_every_http_case_is_answered_from_the_table_or_waited_for(door, name):
    statuses = {200, 400, 404, 405, 411, 413, 415}

    async def story():
        good = head(door, CHAT, f"Content-Length: {SIZE}\r\n") + BODY
        for title, data in corpus(name):
            for variant in variants(door, data):
                answers, closed = await door.say(variant)
                said = [answer.status for answer in answers]
                assert statuses.issuperset(said), (title, variant)
                if not variant.startswith(b"HEAD"):
                    refused = [answer for answer in answers if answer.status >= 400]
                    assert all(is_told(answer, variant) for answer in refused), title
                if _BROKEN.match(title) and "chunk param" not in title:
                    assert 400 in said, (title, variant)
                    assert closed, (title, variant)
            answers, _ = await door.say(good)
            assert [answer.status for answer in answers] == [200], title

    door.run(story())
