"""Webhooks and e-mail: what is sent, what counts as told, and where nothing is ever sent."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import sys
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from patience import PATIENCE_SECONDS
from told import MailServer, Receiver, certificate_for

from keyhall.config.alerts import Alerts
from keyhall.flows.alerts import mail, webhook
from keyhall.flows.alerts.mail import Mail
from keyhall.flows.alerts.message import Message, Untold
from keyhall.flows.alerts.tell import channels_of, send
from keyhall.flows.alerts.webhook import Webhook, sign
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.quotas import Quota
from keyhall.policy.secrets import Secret
from keyhall.ports.records import Alert

NOW_US = 1_800_000_000_000_000
KEY = b"k" * 32
SECRET = Secret("whsec_" + base64.b64encode(KEY).decode())
QUOTA = Quota(
    id="quota_abc",
    organization_id="org_1",
    scope="project",
    scope_id="proj_1",
    resource="tokens",
    period="month",
    amount=1_000,
    policy="suspend",
    overage_price=0,
    thresholds=(50, 80, 100),
    zone=UTC,
    created_at_us=NOW_US,
)
BEGINS_US = 1_798_761_600_000_000  # 2027-01-01 UTC
MESSAGE = Message(
    Alert(7, "quota_abc", "org_1", BEGINS_US, 80, 812, 1_000, NOW_US), QUOTA, "web", "Acme"
)


def told(channel, message=MESSAGE):
    """Send it and close; within a running loop."""

    async def both():
        try:
            await channel.send(message, NOW_US)
        finally:
            await channel.close()

    return both()


# --- What is said ---------------------------------------------------------------------------------


def test_the_body_says_whose_quota_how_far_and_until_when() -> None:
    assert json.loads(MESSAGE.body) == {
        "type": "quota.threshold_reached",
        "timestamp": "2027-01-15T08:00:00Z",
        "data": {
            "id": "quota_abc-7",
            "organization": {"id": "org_1", "name": "Acme"},
            "quota": {
                "id": "quota_abc",
                "scope": "project",
                "owner": {"id": "proj_1", "name": "web"},
                "resource": "tokens",
                "policy": "suspend",
            },
            "threshold": 80,
            "used": 812,
            "amount": 1_000,
            "unit": "tokens",
            "period": {
                "name": "month",
                "begins": "2027-01-01T00:00:00Z",
                "ends": "2027-02-01T00:00:00Z",
            },
        },
    }


def changed(alert=None, **quota):
    alert = msgspec.structs.replace(QUOTA, **quota), alert or MESSAGE.alert
    return Message(alert[1], alert[0], "web", "Acme")


def test_a_letter_reads_as_a_person_would_write_it() -> None:
    assert MESSAGE.subject == "80 % of 1,000 tokens per month of project web is used"
    assert "Used: 812 of 1,000\n" in MESSAGE.text
    assert "Beyond it: requests are refused\n" in MESSAGE.text
    assert "Resets: 2027-02-01 00:00 UTC\n" in MESSAGE.text
    assert "`keyhall quotas show quota_abc`" in MESSAGE.text
    paid = Alert(7, "quota_abc", "org_1", 0, 50, 6_250_000_001, 12_500_000_000, NOW_US)
    credit = changed(paid, scope="organization", resource="money", period="ever")
    assert credit.subject == "50 % of 12.50 prepaid credit of organization web is used"
    assert "Used: 6.250000001 of 12.50\n" in credit.text
    assert "Resets" not in credit.text
    assert json.loads(credit.body)["data"]["period"] == {
        "name": "ever", "begins": "2027-01-15T08:00:00Z", "ends": None,
    }  # fmt: skip
    assert "overage is charged" in changed(policy="overage", overage_price=5).text
    gone = Message(MESSAGE.alert, None, "", "Acme")
    assert gone.subject == "80 % of a quota that was removed meanwhile is used"
    assert "unit" not in json.loads(gone.body)["data"]
    assert "Used: 812 of 1,000\n" in gone.text
    assert Message(MESSAGE.alert, QUOTA, "", "A", is_test=True).subject.startswith("Test: 80 %")


# --- Webhooks -------------------------------------------------------------------------------------


def test_a_webhook_is_signed_as_standard_webhooks_say() -> None:
    """Checked as a receiver would, with nothing of ours."""

    async def work():
        async with Receiver() as receiver:
            await told(Webhook(receiver.url, SECRET))
            return receiver

    receiver = asyncio.run(work())
    (got,) = receiver.got
    assert got.head == "POST /hook?a=b HTTP/1.1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == "quota_abc-7"
    assert got.headers["webhook-timestamp"] == "1800000000"
    signed = b"quota_abc-7.1800000000." + got.body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    assert got.body == MESSAGE.body


def test_the_signature_is_that_of_the_standards_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (200, None),
        (299, None),
        (302, "it answered 302, and redirects are not followed"),
        (400, "it answered 400"),
        (500, "it answered 500"),
    ],
)
def test_only_2xx_is_told_and_redirects_are_not_followed(answer, trouble) -> None:
    async def work():
        async with Receiver(answer) as receiver:
            hook = Webhook(receiver.url, SECRET)
            try:
                return await send([hook], MESSAGE, NOW_US), len(receiver.got)
            finally:
                await hook.close()

    assert asyncio.run(work()) == ({} if trouble is None else {"webhook": trouble}, 1)


def test_a_receiver_that_does_not_answer_is_given_up_in_time(monkeypatch) -> None:
    monkeypatch.setattr(webhook, "DEADLINE_SECONDS", 0.2)

    async def work():
        async with Receiver(None) as receiver:
            with pytest.raises(Untold, match="no answer within"):
                await told(Webhook(receiver.url, SECRET))

    asyncio.run(work())


def test_a_receiver_that_is_not_there_is_a_short_sentence() -> None:
    async def work():
        async with Receiver() as receiver:
            url = receiver.url
        with pytest.raises(Untold, match="onnect"):
            await told(Webhook(url, SECRET))

    asyncio.run(work())


def test_over_tls_the_name_is_checked_and_the_certificate_must_be_known(
    tmp_path, monkeypatch
) -> None:
    chain, tls = certificate_for("localhost", tmp_path)
    other, _ = certificate_for("other", tmp_path)

    async def work():
        async with Receiver(tls=tls) as receiver:
            troubles = []
            for trusted in (other, chain):
                monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
                hook = Webhook(receiver.url, SECRET)
                troubles.append(await send([hook], MESSAGE, NOW_US))
                await hook.close()
            monkeypatch.setenv("SSL_CERT_FILE", str(chain))
            by_number = Webhook(receiver.url.replace("localhost", "127.0.0.1"), SECRET)
            troubles.append(await send([by_number], MESSAGE, NOW_US))
            await by_number.close()
            return troubles, [got.headers["host"] for got in receiver.got], receiver.port

    (unknown, known, misnamed), hosts, port = asyncio.run(work())
    assert "certificate verify failed" in unknown["webhook"].lower()
    assert known == {}
    assert "certificate" in misnamed["webhook"].lower()
    assert hosts == [f"localhost:{port}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://metadata.google.internal/",
        "http://[::ffff:169.254.169.254]/",
        "https://[fe80::1]/x",
        "http://user:password@127.0.0.1/",
        "ftp://127.0.0.1/",
    ],
)
def test_r9_link_local_and_metadata_addresses_are_never_called(url) -> None:
    with pytest.raises(Invalid, match=r"^\[alerts\] webhook_url: "):
        channels_of(Alerts(webhook_url=url, webhook_secret=SECRET.reveal()))


def test_r9_a_name_that_leads_to_such_an_address_is_not_called(monkeypatch) -> None:
    hook = Webhook("http://alerts.example/", SECRET)

    async def lookup(host, port):
        return ["127.0.0.1", "169.254.169.254"]

    monkeypatch.setattr(hook._resolver, "_lookup", lookup)
    with pytest.raises(Untold, match="link-local"):
        asyncio.run(told(hook))


# --- E-mail ---------------------------------------------------------------------------------------


def test_a_letter_goes_to_everybody_with_an_id_that_a_second_try_repeats() -> None:
    async def work():
        async with MailServer() as server:
            url = Secret(f"smtp://127.0.0.1:{server.port}")
            await told(Mail(url, "Keyhall <hall@example.org>", "ada@example.org, bob@example.org"))
            return server.letters

    (letter,) = asyncio.run(work())
    assert (letter.sender, letter.receivers) == (
        "hall@example.org", ["ada@example.org", "bob@example.org"],
    )  # fmt: skip
    content = letter.content
    assert content["Subject"] == f"Keyhall: {MESSAGE.subject}"
    assert content["Message-ID"] == "<quota_abc-7@example.org>"
    assert content["Auto-Submitted"] == "auto-generated"
    assert content["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert content.get_content().replace("\r\n", "\n") == MESSAGE.text


@pytest.mark.parametrize("at_once", [False, True])
def test_a_password_travels_encrypted_to_who_can_prove_its_name(
    tmp_path, monkeypatch, at_once
) -> None:
    chain, tls = certificate_for("localhost", tmp_path)
    scheme = "smtps" if at_once else "smtp"

    async def work():
        async with MailServer(tls, at_once=at_once, password="p@ss word") as server:
            troubles = []
            for trusted, password in ((None, "p%40ss%20word"), (chain, "wrong"),
                                      (chain, "p%40ss%20word")):  # fmt: skip
                monkeypatch.delenv("SSL_CERT_FILE", raising=False)
                if trusted:
                    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
                url = Secret(f"{scheme}://hall:{password}@localhost:{server.port}")
                letter = Mail(url, "hall@example.org", "ada@example.org")
                troubles.append(await send([letter], MESSAGE, NOW_US))
            return troubles, server.letters

    (unknown, wrong, right), letters = asyncio.run(work())
    assert "certificate" in unknown["e-mail"].lower()
    assert "535" in wrong["e-mail"]
    assert "wrong" not in wrong["e-mail"]
    assert right == {}
    assert [(letter.was_encrypted, letter.user) for letter in letters] == [(True, "hall")]


def test_to_another_machine_nothing_travels_in_clear_text() -> None:
    """This machine's own address that is not loopback plays the other machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Sends nothing.
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]

    async def work():
        async with MailServer(host=own) as server:
            letter = Mail(Secret(f"smtp://{own}:{server.port}"), "a@b.example", "c@d.example")
            trouble = await send([letter], MESSAGE, NOW_US)
            return trouble, server.letters

    trouble, letters = asyncio.run(work())
    assert "STARTTLS" in trouble["e-mail"]
    assert letters == []


def test_a_mail_server_that_refuses_or_hangs_is_trouble_and_its_thread_ends(monkeypatch) -> None:
    monkeypatch.setattr(mail, "DEADLINE_SECONDS", 0.5)

    async def work():
        troubles = []
        for given in ({"refuses": "RCPT"}, {"hangs": "MAIL"}):
            async with MailServer(**given) as server:
                url = Secret(f"smtp://127.0.0.1:{server.port}")
                letter = Mail(url, "a@b.example", "c@d.example")
                troubles.append((await send([letter], MESSAGE, NOW_US))["e-mail"])
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await server.has_ended.wait()
        return troubles

    refused, hung = asyncio.run(work())
    assert "550" in refused
    assert "not taken within" in hung


def test_r9_a_mail_server_at_a_metadata_address_is_refused() -> None:
    settings = Alerts(
        email_to="a@b.example", email_from="c@d.example", smtp_url="smtp://169.254.169.254"
    )
    with pytest.raises(Invalid, match=r"^\[alerts\] smtp_url: "):
        channels_of(settings)


def test_what_is_configured_is_used() -> None:
    hook = Alerts(webhook_url="https://a.example/x", webhook_secret=SECRET.reveal())
    assert channels_of(Alerts()) == []
    assert [each.name for each in channels_of(hook)] == ["webhook"]
    both = msgspec.structs.replace(
        hook, email_to="a@b.example", email_from="c@d.example", smtp_url="smtps://mail.example"
    )
    assert [each.name for each in channels_of(both)] == ["webhook", "e-mail"]
