"""I-11 in the console: what somebody sends costs little, and a mistake in it is a page."""

import asyncio
import time

import pytest
from patience import PATIENCE_SECONDS, stretched

MIB = 1 << 20
SECONDS_MAX = 2.0  # of any answer; each takes milliseconds on a machine that does nothing else
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=x"


def ours(hall):
    return {"origin": hall.server.url, "sec-fetch-site": "same-origin", "accept": "text/html"}


def part(name, value, more=""):
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = b"--x--\r\n"
NEVER_FORMS = {
    "no boundary": ("multipart/form-data", b"x"),
    "an empty boundary": ("multipart/form-data; boundary=", b"x"),
    "a long boundary": (f"multipart/form-data; boundary={'x' * 5000}", b"x"),
    "no name": (PARTS, b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
    "no end": (PARTS, part("a", b"1")),
    "nothing": (PARTS, b""),
    "only an end": (PARTS, END),
    "a part in a part": (PARTS, part("a", b"--y\r\n" * 1000) + END),
    "a head without end": (PARTS, b"--x\r\n" + b"A: b\r\n" * 50_000),
    "a long head": (PARTS, b"--x\r\nA: " + b"b" * 900_000 + b"\r\n\r\n1\r\n--x--\r\n"),
    "a long name": (PARTS, part("a" * 900_000, b"1") + END),
    "a long name of a field": (FORM, b"a" * 900_000 + b"=1"),
    "fields without end": (FORM, b"a&" * 500_000),
    "fields of one name": (FORM, b"a=1&" * 200_000),
    "parts without end": (PARTS, part("a", b"1") * 15_000 + END),
    "files without end": (PARTS, part("file", b"1", '; filename="f"') * 9_000 + END),
    "a file that climbs": (PARTS, part("file", b"1", '; filename="../../../etc/passwd"') + END),
    "percent signs": (FORM, b"email=" + b"%" * 900_000),
    "half a percent": (FORM, b"email=%f0%9f%9"),
    "bytes": (FORM, bytes(range(256)) * 1000),
    "bytes in parts": (PARTS, part("email", bytes(range(256)) * 1000) + END),
    "no text": (FORM, b"email=%00&password=%00"),
    "half a character": (FORM, b"email=%ed%a0%80&password=%ed%a0%80"),
    "boundaries": (PARTS, b"--x\r\n" * 150_000),
    "almost boundaries": ("multipart/form-data; boundary=" + "-" * 60, b"\r\n" + b"-" * 1_000_000),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/sign-in", "/keys/new", "/people/import"])
def test_a_form_that_is_none_is_refused_with_a_page(hall, path):
    async def story(hall):
        await hall.browser.visit("/account")
        token = hall.browser.page.find("meta", {"name": "csrf"})["content"]
        client = hall.new_browser().client if path == "/sign-in" else hall.browser.client
        for name, (kind, body) in NEVER_FORMS.items():
            headers = {**ours(hall), "content-type": kind, "x-csrf": token}
            began = time.perf_counter()
            answer = await client.post(path, content=body, headers=headers)
            took = time.perf_counter() - began
            assert answer.status_code in (200, 400, 401, 403, 413, 415, 429), name
            assert "html" in answer.headers["content-type"], name
            assert took < stretched(SECONDS_MAX), (name, took)

    hall(story)


async def told(hall, head, body=b"", *, path="/sign-in"):
    """The status of a request whose body may be anything, and how long it took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hall.server.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in (ours(hall) | head).items())
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{hall.server.port}\r\n{lines}\r\n".encode()
    )
    writer.write(body)
    async with asyncio.timeout(PATIENCE_SECONDS):
        status = (await reader.readline()).split(b" ")[1]
    writer.close()
    return int(status)


def test_a_form_that_is_too_large_is_refused_before_it_is_read(hall):
    async def story(hall):
        for length in (MIB + 1, 2 << 30, 1 << 62):
            head = {"content-type": FORM, "content-length": length}
            assert await told(hall, head) == 413, length
        chunked = {"content-type": FORM, "transfer-encoding": "chunked"}
        assert await told(hall, chunked, b"4\r\na=1&\r\n") == 413
        assert await told(hall, {"content-type": FORM}) in (401, 411, 413)

    hall(story)


def test_nobody_chooses_how_a_form_is_read(hall):
    """Some ways take minutes for a form that fits, and some give what is no text."""

    async def story(hall):
        client = hall.new_browser().client
        slow = part("email", b"a" * 500_000 + b"-" + b"a" * 500_000) + END
        no_text = part("email", rb"\ud800") + END
        for charset in (
            "punycode",
            "idna",
            "utf-7",
            "unicode_escape",
            "undefined",
            "utf-16",
            "hex",
        ):
            ways = (
                f"charset={charset}",
                f'charset="{charset}"; a="utf-8"',
                f"charset=utf-8; CHARSET={charset}",
                f"charset*=utf-8''{charset}",
            )
            for more in ways:
                for body in (slow, no_text):
                    headers = {**ours(hall), "content-type": f"{PARTS}; {more}"}
                    answer = await client.post("/sign-in", content=body, headers=headers)
                    assert answer.status_code == 415, more
        headers = {**ours(hall), "content-type": f"{PARTS}; charset=UTF-8"}
        answer = await client.post("/sign-in", content=no_text, headers=headers)
        assert answer.status_code == 401

    hall(story)


def test_what_is_no_text_is_refused_wherever_it_stands(hall):
    async def story(hall):
        browser = hall.browser
        for path in ("/keys/%00", "/people?q=%00", "/sign-in?next=/%00", "/audit?who=a%00b"):
            answer = await browser.client.get(path)
            assert answer.status_code == 400, path
            assert "html" in answer.headers["content-type"]
        await browser.visit("/projects")
        assert await browser.send("/projects", name="a\0b") == 400

    hall(story)


def test_a_flood_of_passwords_leaves_the_loop_to_others(hall):
    """Each costs 20 ms of a processor; what calls models waits for none of them."""

    async def story(hall):
        async def wrong(number):
            data = {"email": f"a{number}@example.org", "password": "x" * 12}
            return await hall.new_browser().client.post("/sign-in", data=data, headers=ours(hall))

        flood = [asyncio.create_task(wrong(number)) for number in range(60)]
        lags = []
        while not all(each.done() for each in flood):
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - began)
        statuses = {(await each).status_code for each in flood}
        assert statuses == {401, 429}  # Of one network, the first 20 are looked at.
        assert sorted(lags)[len(lags) // 2] < 0.1

    hall(story)
