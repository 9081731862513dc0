"""`keyhall quotas`: what is said, to people and to machines."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from made_usage import made_usage

from keyhall.cli.manage import show, words

ORGANIZATION = "Default organization"


@pytest.fixture
def app(keyhall):
    """A key's id, with its project and organization."""
    made = keyhall.json("keys", "create", "--name", "app")
    shown = keyhall.json("organizations", "show", ORGANIZATION)
    return {
        "key_id": made["id"],
        "project_id": shown["projects"][0],
        "organization_id": shown["id"],
    }


def used(number, **more):
    counted = {"input_tokens": 1_000, "output_tokens": 200, "cost_nano": 1_500_000}
    return made_usage(number, **(counted | more))


def test_without_quotas_it_says_how_one_is_made(keyhall) -> None:
    assert "keyhall quotas set --help" in keyhall("quotas", "list")
    assert keyhall.json("quotas", "list") == []


def test_a_quota_is_made_changed_shown_listed_and_removed(keyhall, app) -> None:
    said = keyhall("quotas", "set", "--project", "Default project", "--tokens", "1,000,000",
                   "--per", "month")  # fmt: skip
    assert said.startswith("Made quota_")
    assert (
        ": 1,000,000 tokens per month of project Default project, 0 of it used until now." in said
    )
    assert "What lies beyond is refused. It resets 20" in said
    assert " 00:00 UTC." in said
    changed = keyhall.json("quotas", "set", "--project", app["project_id"], "--tokens", "500",
                           "--per", "month", "--overage", "0.50",
                           "--alert-at", "90,150%")  # fmt: skip
    assert changed["id"] in said
    assert (changed["amount"], changed["unit"], changed["policy"]) == (500, "tokens", "overage")
    assert changed["overage_price_micro_per_million"] == 500_000
    assert changed["alerts_at_percent"] == [90, 150]
    shown = keyhall("quotas", "show", changed["id"])
    assert "500 tokens per month" in shown
    assert "overage at 0.50 per million tokens" in shown
    assert "90 %, 150 %" in shown
    listed = keyhall.json("quotas", "list", "--organization", ORGANIZATION)
    assert [each["id"] for each in listed] == [changed["id"]]
    assert keyhall.json("quotas", "show", changed["id"]) == listed[0]
    rows = [" ".join(line.split()) for line in keyhall("quotas", "list").splitlines()]
    assert rows[0] == "ID Of Quota Used Amount % Beyond it Resets"
    assert rows[1].startswith(f"{changed['id']} project Default project tokens per month 0 500 0 ")
    assert "Removed quota_" in keyhall("quotas", "remove", changed["id"])
    assert "No quota with id" in keyhall.refused("quotas", "remove", changed["id"])


def test_what_is_used_is_told_in_the_quotas_own_unit(keyhall, house, app) -> None:
    keyhall("quotas", "set", "--key", "app", "--money", "0.003", "--per", "month")
    keyhall("quotas", "set", "--key", "app", "--requests", "0", "--per", "day")
    (money, requests) = keyhall.json("quotas", "list", "--key", "app")
    at_us = int(house.now_us)
    house.run(lambda store: store.record_usage([used(1, **app, admitted_at_us=at_us)]))
    assert (money["amount"], money["unit"]) == (3_000_000, "nano")
    assert (requests["percent"], requests["remaining"]) == (100, 0), "nothing is all used"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--tokens", "5"), "Say whose quota it is"),
        (("--key", "a", "--project", "b", "--tokens", "5"), "Say one of --key, --project"),
        (("--key", "a"), "Say how much it allows"),
        (("--key", "a", "--tokens", "5", "--money", "5"), "Say how much it allows"),
        (("--key", "a", "--tokens", "none"), "quotas remove"),
        (("--key", "a", "--tokens", "5", "--suspend", "--overage", "1"), "--suspend and --overage"),
        (("--key", "a", "--tokens", "5", "--overage", "10%"), "only money has %"),
        (("--key", "a", "--money", "5", "--overage", "1"), "a percentage on top of it"),
        (("--key", "a", "--money", "5", "--overage", "0.05%"), "at most one decimal"),
        (("--key", "a", "--money", "5", "--alert-at", "half"), "write 50,80,100, or none"),
        (("--key", "a", "--money", "12,50"), "write 12 or 12.50"),
        (("--key", "a", "--money", "-1"), "is no amount of money"),
        (("--key", "a", "--money", "1e3"), "is no amount of money"),
        (("--key", "a", "--money", "0.0000000001"), "at most 9 decimals"),
    ],
)
def test_a_command_that_says_too_little_or_too_much_is_told_what(
    keyhall, arguments, sentence
) -> None:
    said = keyhall.refused("quotas", "set", "--per", "day", *arguments, status=2)
    assert sentence in " ".join(said.split())


def test_money_is_exact(keyhall, app) -> None:
    made = keyhall.json("quotas", "set", "--key", "app", "--money", "12.000000001", "--per", "day",
                        "--overage", "12.5%", "--alert-at", "none")  # fmt: skip
    assert (made["amount"], made["overage_price_micro_per_million"]) == (12_000_000_001, 125)
    assert made["alerts_at_percent"] == []
    said = keyhall("quotas", "show", made["id"])
    assert "12.000000001 per day" in said
    assert "overage at 12.5 % more" in said
    assert words.MoneyType().convert("999999999999.999999999", None, None) == 10**21 - 1


def test_models_without_a_price_are_warned_of(keyhall, app) -> None:
    keyhall("versions", "add", "x-1", "--engine", "sandbox", "--engine-model", "x")
    arguments = ("quotas", "set", "--key", "app", "--money", "5", "--per", "day")
    said = keyhall(*arguments)
    assert "Warning: x-1 has no price" in said
    assert "keyhall versions price x-1 --in P --out P" in said
    assert keyhall.json(*arguments)["unpriced"] == ["x-1"]
    assert "Warning" not in keyhall(
        "quotas", "set", "--key", "app", "--tokens", "5", "--per", "day"
    )


def test_credit_is_added_taken_and_shown(keyhall) -> None:
    said = keyhall("quotas", "credit", "show", ORGANIZATION)
    assert "is not prepaid" in said
    assert keyhall.json("quotas", "credit", "show", ORGANIZATION)["left_nano"] is None
    said = keyhall("quotas", "credit", "add", ORGANIZATION, "100", "--note", "invoice 7")
    assert said.startswith("Added 100.00. org_")
    assert " has 100.00 left of 100.00, counted since 20" in said
    said = keyhall("quotas", "credit", "take", ORGANIZATION, "20.5")
    assert said.startswith("Took back 20.50. org_")
    found = keyhall.json("quotas", "credit", "show", ORGANIZATION)
    assert [each["amount_nano"] for each in found["credits"]] == [100 * 10**9, -20_500_000_000]
    assert found["left_nano"] == found["amount_nano"] == 79_500_000_000
    said = keyhall("quotas", "credit", "show", ORGANIZATION)
    assert "-20.50" in said
    assert "invoice 7" in said
    assert "more than is left" in keyhall.refused("quotas", "credit", "take", ORGANIZATION, "80")
    (listed,) = keyhall.json("quotas", "list")
    assert (listed["period"], listed["period_ends"]) == ("ever", None)
    keyhall("quotas", "remove", found["quota"])
    said = keyhall("quotas", "credit", "show", ORGANIZATION)
    assert "Added (UTC)" in said
    assert "is not prepaid" in said


def test_an_organizations_zone_is_set_shown_and_used(keyhall) -> None:
    refused = keyhall.refused("organizations", "zone", ORGANIZATION, "berlin")
    assert "Did you mean Europe/Berlin?" in refused
    said = keyhall("organizations", "zone", ORGANIZATION, "Asia/Tokyo")
    assert "begin in Asia/Tokyo." in said
    assert keyhall.json("organizations", "show", ORGANIZATION)["time_zone"] == "Asia/Tokyo"
    keyhall("quotas", "set", "--organization", ORGANIZATION, "--requests", "5", "--per", "day")
    assert " 00:00 JST" in keyhall("quotas", "list")


def test_alerts_are_listed_with_what_became_of_them(keyhall, house, app) -> None:
    for command in (("quotas", "alerts"), ("quotas", "alerts", "list")):
        assert "No quota has reached" in keyhall(*command)
    keyhall("quotas", "set", "--organization", ORGANIZATION, "--money", "0.0015", "--per", "month")
    house.run(lambda store: store.record_usage([used(1, **app)]))
    rows = keyhall.json("quotas", "alerts", "list", "--organization", ORGANIZATION)
    assert [each["threshold"] for each in rows] == [100, 80, 50]
    assert (rows[0]["unit"], rows[0]["used"], rows[0]["told_at"]) == ("nano", 1_500_000, None)
    said = keyhall("quotas", "alerts", "list")
    assert "money per month" in said
    assert "not yet" in said
    keyhall("quotas", "remove", rows[0]["quota"])
    assert "removed" in keyhall("quotas", "alerts", "list")


def test_alerts_alone_take_the_options_of_their_list(keyhall, house, app) -> None:
    keyhall("quotas", "set", "--organization", ORGANIZATION, "--money", "0.0015", "--per", "month")
    house.run(lambda store: store.record_usage([used(1, **app)]))
    where = ("--data", str(house.data), "--limit", "1")
    assert keyhall.json("quotas", "alerts", *where)[0]["threshold"] == 100
    assert keyhall("quotas", "alerts", *where) == keyhall("quotas", "alerts", "list", *where)
    assert "Commands:" in keyhall("quotas", "alerts", "--help")
    assert "Commands:" in keyhall("quotas", "alerts", "-h")
    assert "No such command 'lists'" in keyhall.refused("quotas", "alerts", "lists", status=2)


def test_a_test_of_alerts_without_a_way_to_tell_says_what_to_set(keyhall) -> None:
    assert "set webhook_url or email_to" in keyhall.refused("quotas", "alerts", "test")


def test_a_test_of_alerts_tells_how_each_way_ended(keyhall, tmp_path) -> None:
    config = tmp_path / "alerts.toml"
    config.write_text(
        f'[alerts]\nwebhook_url = "http://127.0.0.1:9/x"\nwebhook_secret = "whsec_{"k" * 32}"\n'
    )
    said = keyhall.refused("quotas", "alerts", "test", "--config", str(config))
    assert said.startswith("webhook: ")
    assert "Error: not everybody could be told." in said
    with Taker() as taker:
        config.write_text(config.read_text().replace(":9/", f":{taker.server_port}/"))
        said = keyhall("quotas", "alerts", "test", "--config", str(config))
        ends = json.loads(keyhall("quotas", "alerts", "test", "--config", str(config), "--json"))
    assert said == "webhook: told\n"
    assert ends == [{"channel": "webhook", "trouble": None}]
    assert [json.loads(body)["data"]["test"] for body in taker.bodies] == [True, True]


class Taker(ThreadingHTTPServer):
    """Takes webhooks in a thread, for commands that have an event loop of their own."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies = []

    def __enter__(self):
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_bar_is_for_the_eye_only(monkeypatch) -> None:
    assert show.bar(50) == "", "nothing in a pipe"
    terminal = show.console()
    terminal._force_terminal = True
    monkeypatch.setattr(show, "console", lambda: terminal)
    shown = {percent: show.bar(percent) for percent in (0, 50, 80, 100, 250)}
    assert {len(bar) for bar in shown.values()} == {10}
    assert shown[100] == shown[250]
    assert [bar.style for bar in shown.values()] == ["green", "green", "yellow", "red", "red"]
