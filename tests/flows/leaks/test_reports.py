"""Reports of leaked keys, through a whole server: revoked at once, told, and bounded."""

import asyncio
import base64
import hashlib
import json
import time

import openai
import pytest
from github_signs import Signer, listed, written
from hall_inside import open_inside
from patience import PATIENCE_SECONDS, stretched
from plain_http import chat, streamed
from reporting import LEAKS, Reporting
from told import MailServer, Receiver

from keyhall.clock import ManualClock
from keyhall.config import Keys, Leaks, Log, Server
from keyhall.config.alerts import Alerts
from keyhall.flows.alerts import tell
from keyhall.flows.leaks.github import GithubKeys
from keyhall.flows.manage import keys
from keyhall.policy.keys import mint
from keyhall.stores.tables import accounts
from keyhall.wire.leaks.reports import BYTES_MAX

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
REVOKED_SECONDS = 1.0
SEEN_AT = "https://github.example/octocat/Hello-World/blob/main/.env"


def stranger() -> str:
    """A well-formed key that nobody has."""
    return mint("live", hashlib.shake_256(b"stranger").digest(128)).text.reveal()


def states(reply):
    assert reply.status == 200, reply.body
    return [each["state"] for each in reply.json["data"]]


def test_a_reported_key_is_revoked_at_once_and_its_running_stream_is_cut(reporting) -> None:
    """With the official client, in the middle of a stream: `key_revoked` within a second."""

    async def story(at):
        fresh = await at.inside.make_key("app")
        key = fresh.text.reveal()
        async with openai.AsyncOpenAI(api_key=key, base_url=at.inside.url + "/v1") as client:
            stream = await client.chat.completions.create(**streamed("Hi.", "sandbox/slow"))
            chunks = aiter(stream)
            await anext(chunks)
            reply = await at.report({"keys": [key], "url": SEEN_AT})
            reported = time.monotonic()
            with pytest.raises(openai.APIError) as cut:
                async for _ in chunks:
                    pass
            took = time.monotonic() - reported
            with pytest.raises(openai.AuthenticationError) as refused:
                await client.chat.completions.create(**chat("Hi."))
        return fresh, reply, cut.value, took, refused.value

    fresh, reply, cut, took, refused = reporting(story, pace=50)
    assert states(reply) == ["revoked"]
    assert cut.code == "key_revoked"
    assert took < stretched(REVOKED_SECONDS)
    assert refused.code == "key_revoked"
    assert fresh.text.reveal() not in reply.body.decode(), "the answer masks it"


def test_the_evidence_is_in_the_audit_and_no_key_is(reporting) -> None:
    async def story(at):
        fresh = await at.inside.make_key("app")
        text = fresh.text.reveal()
        url = "https://paste.example/\x1b[31m\u202e" + "x" * 1_000
        await at.report({"keys": [text], "url": url, "source": "a paste"})
        return fresh.key, await at.audit("key.leaked"), await at.audit("key.revoke")

    key, (seen,), (revoked,) = reporting(story)
    facts = json.loads(seen.after)
    assert (seen.target, seen.who, seen.organization_id) == (key.id, "anyone", key.organization_id)
    assert seen.origin == "leak report 127.0.0.1"
    assert facts["source"] == "a paste"
    assert facts["url"].startswith("https://paste.example/\ufffd[31m\ufffdxxx")
    assert len(facts["url"]) == 500
    assert json.loads(revoked.after)["revoked_reason"] == "leaked"


def test_what_is_no_key_of_ours_is_unknown_and_changes_nothing(reporting) -> None:
    async def story(at):
        body = {"keys": [stranger(), "sk-proj-someone-elses-0123456789", "", "é" * 200]}
        return await at.report(body), await at.audit("key.leaked"), await at.notices()

    reply, audit, notices = reporting(story)
    assert states(reply) == ["unknown"] * 4
    assert (audit, notices) == ([], [])


def test_attack_16_a_report_that_comes_again_changes_nothing(reporting) -> None:
    async def story(at):
        text = (await at.inside.make_key()).text.reveal()
        body = {"keys": [text, text]}
        replies = [await at.report(body) for _ in range(3)]
        many = await asyncio.gather(*(at.report(body) for _ in range(5)))
        return [*replies, *many], await at.audit("key.leaked"), await at.notices()

    replies, audit, notices = reporting(story)
    assert {reply.body for reply in replies} == {replies[0].body}
    assert states(replies[0]) == ["revoked", "revoked"]
    assert (len(audit), len(notices)) == (1, 1)


def test_paused_expired_and_admin_keys_are_revoked_too(reporting) -> None:
    async def story(at):
        by = {"actor": keys.Actor("tester", "tests"), "now_us": at.inside.clock.now_us()}
        paused = await at.inside.make_key("paused")
        await keys.pause(at.store, paused.key.id, **by)
        ended = await at.inside.make_key("ended")
        await keys.expire(at.store, ended.key.id, by["now_us"], **by)
        admin = await at.inside.make_key("admin", mode="admin")
        texts = [each.text.reveal() for each in (paused, ended, admin)]
        reply = await at.report({"keys": texts})
        found = [await keys.find(at.store, each.key.id, 0) for each in (paused, ended, admin)]
        return reply, found

    reply, found = reporting(story)
    assert states(reply) == ["revoked"] * 3
    assert all(key.revoked_at_us for key in found)


def test_test_keys_are_left_alone_where_the_settings_say_so(reporting) -> None:
    async def story(at):
        text = (await at.inside.make_key(mode="test")).text.reveal()
        reply = await at.report({"keys": [text]})
        line = await at.inside.line()
        return reply, await line.ask(text, chat("Hi.", max_tokens=2))

    reply, answered = reporting(story, leaks=Leaks(test_keys=False))
    assert states(reply) == ["kept"]
    assert answered.status == 200


def test_a_key_is_found_under_an_older_pepper(reporting, sqlite_house) -> None:
    new, old = "cd" * 32, sqlite_house.peppers[0].hex()

    async def make(at):
        return (await at.inside.make_key()).text.reveal()

    async def tell_of(at):
        return await at.report({"keys": [text]})

    text = reporting(make)
    assert states(reporting(tell_of, keys=Keys(pepper=f"{new},{old}"))) == ["revoked"]


def test_its_owner_is_told_by_webhook_and_letter_with_evidence(sqlite_house, monkeypatch) -> None:
    monkeypatch.setattr(tell, "LOOK_SECONDS", 0.01)

    async def story():
        async with Receiver(500) as receiver, MailServer() as mail:
            alerts = Alerts(
                webhook_url=receiver.url,
                webhook_secret=SECRET,
                email_from="keyhall@hall.example",
                smtp_url=f"smtp://127.0.0.1:{mail.port}",
            )
            async with open_inside(sqlite_house.data, ManualClock(), alerts=alerts) as inside:
                at = Reporting(inside)
                fresh = await inside.make_key("app")
                async with at.store.writing() as connection:
                    await connection.execute(accounts.update().values(email="ada@hall.example"))
                await at.report({"keys": [fresh.text.reveal()], "url": SEEN_AT})
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(receiver.got) < 2 or not mail.letters:
                        inside.clock.advance(1)
                        await asyncio.sleep(0.01)
                return fresh, receiver.got, mail.letters

    fresh, (first, again), (letter,) = asyncio.run(story())
    told = json.loads(again.body)
    assert first.body == again.body
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == "notice-1"
    assert told["type"] == "key.leaked"
    assert told["data"]["key"] == {
        "id": fresh.key.id,
        "name": "app",
        "masked": fresh.key.masked,
    }
    assert (told["data"]["url"], told["data"]["by"]) == (SEEN_AT, "anyone")
    assert letter.receivers == ["ada@hall.example"]
    text = letter.content.get_content()
    assert "the key app leaked and is revoked" in letter.content["subject"]
    assert SEEN_AT.replace("://", "[:]//") in text, "no program makes a link of it"
    assert SEEN_AT not in text
    assert f"/keys/{fresh.key.id}" in text
    assert fresh.text.reveal() not in text + again.body.decode()


def test_reports_are_taken_by_nobody_where_they_are_off(reporting) -> None:
    async def story(at):
        return await at.report({"keys": ["sk-kh_live"]})

    reply = reporting(story, leaks=Leaks(enabled=False))
    assert (reply.status, reply.error["code"]) == (404, "leak_reports_off")


# --- Bounds ---------------------------------------------------------------------------------------


HOSTILE = [
    (b"", "it is not valid JSON"),
    (b"{", "it is not valid JSON"),
    (b'{"keys": "sk"}', "Expected `array`, got `str` - at `$.keys`"),
    (b'{"keys": []}', "length >= 1"),
    (b'{"keys": [1]}', "Expected `str`, got `int`"),
    (b"[1]", "Expected `object`, got `array`"),
    (b'{"keys": ["a"], "secret-word": 1}', "unknown field; keys, url and source are known"),
    (json.dumps({"keys": ["x"] * 101}).encode(), "length <= 100"),
    (json.dumps({"keys": ["x" * 2001]}).encode(), "length <= 2000"),
    (json.dumps({"keys": ["x"], "url": "y" * 2001}).encode(), "length <= 2000"),
    (b'{"keys": ["\xff"]}', "it is not valid JSON"),
    (b'{"keys": ' + b"[" * 50_000, ""),
]


def test_a_hostile_body_is_refused_and_not_repeated(reporting, caplog) -> None:
    async def story(at):
        return [await at.report(body) for body, _ in HOSTILE]

    replies = reporting(story)
    for reply, (body, said) in zip(replies, HOSTILE, strict=True):
        assert (reply.status, reply.error["code"]) == (400, "leak_report_unreadable"), body[:30]
        assert said in reply.error["message"]
        assert "secret-word" not in reply.error["message"] + caplog.text


def test_attack_16_a_body_beyond_the_bound_is_refused_before_it_is_read(reporting) -> None:
    """Declared, it is not waited for; in chunks, it is not read on."""

    async def story(at):
        head = (
            b"POST /v1/keyhall/leaks HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        )
        declared = await (await at.inside.line()).raw(
            head + b"content-length: %d\r\n\r\n{" % (BYTES_MAX + 1)
        )
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        chunked = await (await at.inside.line()).raw(
            head + b"transfer-encoding: chunked\r\n\r\n" + piece * 2
        )
        return await declared.rest(), await chunked.rest()

    for reply in reporting(story):
        assert (reply.status, reply.error["code"]) == (413, "request_too_large")


def test_reporters_are_slowed_down_by_address_and_in_all(reporting) -> None:
    """Behind a trusted proxy the clients' addresses count; a new minute begins anew."""

    async def story(at):
        async def report(address):
            reply = await at.report({"keys": ["x"]}, f"x-forwarded-for: {address}\r\n")
            return reply.status

        by_address = [await report("192.0.2.1") for _ in range(3)]
        in_all = [await report(f"192.0.2.{number}") for number in range(2, 6)]
        slowed = await at.report({"keys": ["x"]}, "x-forwarded-for: 192.0.2.9\r\n")
        at.inside.clock.advance(int(slowed.headers["retry-after"]))
        return by_address, in_all, slowed, await report("192.0.2.1")

    by_address, in_all, slowed, later = reporting(
        story,
        leaks=Leaks(reports_per_address=2, reports_per_minute=4),
        server=Server(trusted_proxies=["127.0.0.1"]),
    )
    assert by_address == [200, 200, 429]
    assert in_all == [200, 200, 429, 429]
    assert slowed.error["code"] == "leak_reports_many"
    assert later == 200


def test_attack_16_nothing_of_a_report_is_logged(reporting, caplog) -> None:
    caplog.set_level("DEBUG", "keyhall")

    async def story(at):
        text = (await at.inside.make_key()).text.reveal()
        await at.report({"keys": [text, stranger()], "url": SEEN_AT})
        return text

    text = reporting(story, log=Log(requests="all"))
    assert text not in caplog.text
    assert stranger() not in caplog.text
    assert SEEN_AT not in caplog.text


# --- GitHub's form --------------------------------------------------------------------------------


def matches(*texts):
    return json.dumps(
        [
            {"token": each, "type": "keyhall_key", "url": SEEN_AT, "source": "content"}
            for each in texts
        ]
    ).encode()


def test_githubs_signed_report_is_answered_with_labels(reporting, tmp_path) -> None:
    signer = Signer()

    async def story(at):
        text = (await at.inside.make_key()).text.reveal()
        body = matches(text, stranger())
        first = await at.report(body, signer.headers(body))
        again = await at.report(body, signer.headers(body))
        return text, first, again, await at.audit("key.leaked")

    file = written(tmp_path, Signer("another"), signer)
    text, first, again, (seen,) = reporting(story, leaks=Leaks(github_keys_file=file))
    assert first.status == 200
    assert first.json == [
        {
            "token_hash": hashlib.sha256(each.encode()).hexdigest(),
            "token_type": "keyhall_key",
            "label": label,
        }
        for each, label in ((text, "true_positive"), (stranger(), "false_positive"))
    ]
    assert again.body == first.body, "a replay is harmless"
    assert (seen.who, json.loads(seen.after)["url"]) == ("github", SEEN_AT)


def test_what_is_not_signed_by_a_known_key_is_refused_and_does_nothing(reporting, tmp_path) -> None:
    signer, other = Signer(), Signer("unknown-key")
    impostor = Signer(signer.identifier)

    async def story(at):
        text = (await at.inside.make_key()).text.reveal()
        body = matches(text)
        good = signer.headers(body)
        only = [line + "\r\n" for line in good.split("\r\n") if line]
        tries = [
            await at.report(body + b" ", good),
            await at.report(body, other.headers(body)),
            await at.report(body, impostor.headers(body)),
            await at.report(body, only[0]),
            await at.report(body, only[1]),
            await at.report(body, only[0] + "Github-Public-Key-Signature: AAAA\r\n"),
            await at.report(body, only[0] + "Github-Public-Key-Signature: \xe9!\r\n"),
            await at.report(body, only[0] + f"Github-Public-Key-Signature: {'A' * 1000}\r\n"),
        ]
        unsigned = await at.report(body)
        return tries, unsigned, await at.audit("key.leaked")

    leaks = Leaks(github_keys_file=written(tmp_path, signer))
    tries, unsigned, audit = reporting(story, leaks=leaks)
    assert {(each.status, each.error["code"]) for each in tries} == {
        (401, "leak_signature_refused")
    }
    assert "is not known here" in tries[1].error["message"]
    assert "does not fit" in tries[2].error["message"]
    assert unsigned.status == 400, "an array without a signature is no report of ours"
    assert audit == []


def test_attack_16_without_configured_keys_no_signature_is_good(reporting) -> None:
    """An empty secret is none, and not one that everybody knows."""
    signer = Signer("")

    async def story(at):
        body = matches((await at.inside.make_key()).text.reveal())
        return await at.report(body, signer.headers(body))

    reply = reporting(story)
    assert reply.status == 401
    assert "knows none of GitHub's public keys" in reply.error["message"]


def test_a_signed_report_is_not_held_up_by_the_crowd(reporting, tmp_path) -> None:
    signer = Signer()

    async def story(at):
        body = matches(stranger())
        unsigned = [(await at.report({"keys": ["x"]})).status for _ in range(2)]
        signed = [(await at.report(body, signer.headers(body))).status for _ in range(5)]
        forged = [(await at.report(body + b" ", signer.headers(body))).status for _ in range(3)]
        return unsigned, signed, forged

    leaks = Leaks(
        reports_per_address=3, reports_per_minute=1, github_keys_file=written(tmp_path, signer)
    )
    unsigned, signed, forged = reporting(story, leaks=leaks)
    assert unsigned == [200, 429]
    assert signed == [200] * 5
    assert forged == [401, 401, 429]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (None, "No such file"),
        (b"{}", "not a list"),
        (b"\xff", "not a list"),
        (json.dumps({"public_keys": [{"key_identifier": "a", "key": "b"}]}).encode(), "not PEM"),
    ],
)
def test_a_file_that_cannot_be_read_believes_nobody(tmp_path, file, said) -> None:
    path = tmp_path / "keys.json"
    if file is not None:
        path.write_bytes(file)
    signer = Signer()
    github = GithubKeys(str(path), "", ManualClock())
    headers = dict(line.split(": ") for line in signer.headers(b"x").splitlines())
    signature = headers["Github-Public-Key-Signature"].encode()
    why = asyncio.run(github.trusts(signer.identifier, signature, b"x"))
    assert why == "the key that it names is not known here"
    assert said in (github.trouble or "")


class KeysServer(Receiver):
    """Gives GitHub's list, to whoever asks."""

    def __init__(self, *signers):
        super().__init__()
        self.signers = list(signers)
        self.asked = 0

    async def _serve(self, reader, writer) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            body = listed(*self.signers)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()


def test_keys_are_fetched_from_an_address_only_when_a_report_needs_them(sqlite_house) -> None:
    """And again when GitHub has new ones, once a minute at most."""
    signer, newer = Signer("one"), Signer("two")

    async def story():
        async with KeysServer(signer) as server:
            leaks = Leaks(github_keys_url=server.url)
            async with open_inside(sqlite_house.data, ManualClock(), leaks=leaks) as inside:
                line = await inside.line()
                body = matches(stranger())

                async def report(by):
                    reply = await line.ask(None, body, LEAKS, headers=by.headers(body))
                    return reply.status

                before = server.asked
                first = [await report(signer), await report(signer)]
                server.signers.append(newer)
                too_soon = await report(newer)
                inside.clock.advance(61)
                return before, first, too_soon, await report(newer), server.asked

    before, first, too_soon, later, asked = asyncio.run(story())
    assert before == 0, "nothing is reached at start"
    assert (first, too_soon, later, asked) == ([200, 200], 401, 200, 2)
