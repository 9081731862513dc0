"""llhttp's own cases of HTTP responses, good and bad, as an upstream's answers (I-11, I-16)."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS
from scripted_upstream import Upstream, answer, ask, engine_for

from keyhall.engines.upstream.call import Deadlines
from keyhall.errors import ApiError

BRISK = Deadlines(connect=2, first_byte=0.1, idle=0.1, event=0.2, drain=0.05, keep_alive=1)
CASE = re.compile(r"^###? (?P<title>.+?)$.*?```http\n(?P<text>.*?)```", re.MULTILINE | re.DOTALL)
NAMES = [
    "connection",
    "content-length",
    "finish",
    "invalid",
    "lenient-version",
    "pausing",
    "pipelining",
    "sample",
    "transfer-encoding",
]


def _raw(text):
    """llhttp's own notation: an escaped line end joins, and others are CRLF unless written out."""
    text = text.removesuffix("\n").replace("\\\n", "").replace("\n", "\r\n")
    for written, meant in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f")):
        text = text.replace(written, meant)
    text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    return text.encode("latin-1", "replace")


def _cases(name):
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        pytest.skip("KEYHALL_CORPORA is not set: llhttp's HTTP cases were not tried")
    path = Path(folder) / "http" / "response" / f"{name}.md"
    return [(found["title"], _raw(found["text"])) for found in CASE.finditer(path.read_text())]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ["close", "hang"])
def test_i16_every_http_case_ends_in_an_answer_or_a_row_and_spoils_nothing(run, name, ending):
    cases = _cases(name)
    assert cases

    async def one(data, *, streams):
        async def script(peer):
            await peer.send(data)
            await (peer.hang() if ending == "hang" else asyncio.sleep(0.002))
            peer.close()

        async def good(peer):
            await peer.send(answer())

        async with Upstream(script) as upstream:
            engine = engine_for(upstream, deadlines=BRISK)
            running, done = ask(engine, stream=streams)
            try:
                await done
            except ApiError:
                pass  # Any other exception fails the test.
            finally:
                running.close()
            upstream.script = good
            completion = await asked(engine)
            assert completion.choices[0].message.content == "Hello"
            await engine.close()

    async def asked(engine):
        """On a busy machine a peer that hangs closes so late that it may have worked on it, and
        nobody sends that again: then its caller does."""
        try:
            return await ask(engine)[1]
        except ApiError:
            return await ask(engine)[1]

    async def story():
        for _, data in cases:
            await asyncio.gather(one(data, streams=False), one(data, streams=True))

    run(story(), 2 * PATIENCE_SECONDS)
