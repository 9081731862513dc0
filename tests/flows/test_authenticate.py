"""Who is asking, and may they: decided in one order, before the body is read (R13)."""

import base64
from dataclasses import replace
from ipaddress import ip_network

import pytest

from keyhall import errors
from keyhall.ports.engine import Signal

BROKEN = {
    # each step of R13: what makes the key break it, and the row
    "revoked": ({"revoked_at_us": 1}, errors.KEY_REVOKED),
    "expired": ({"expires_at_us": 1}, errors.KEY_EXPIRED),
    "paused": ({"paused_at_us": 1}, errors.KEY_PAUSED),
    "organization suspended": ({"is_organization_active": False}, errors.BILLING_INACTIVE),
    "address": ({"networks": (ip_network("198.51.100.0/24"),)}, errors.IP_REFUSED),
    "endpoint": ({"endpoints": frozenset({"models"})}, errors.SCOPE_MISSING),
    "model": ({"models": ("v1",)}, errors.SCOPE_MISSING),
    "project's model": ({"project_models": ("v1",)}, errors.MODEL_FORBIDDEN),
}
STATUSES = {
    errors.KEY_REVOKED: (401, "key_revoked"),
    errors.KEY_EXPIRED: (401, "key_expired"),
    errors.KEY_PAUSED: (401, "key_paused"),
    errors.BILLING_INACTIVE: (429, "billing_not_active"),
    errors.IP_REFUSED: (401, "ip_not_authorized"),
    errors.SCOPE_MISSING: (403, "missing_scope"),
    errors.MODEL_FORBIDDEN: (403, "model_not_found"),
}


def restrict(stage, key, **fields):
    """Give the snapshot of a key other facts, as a change in the store would."""
    caller = stage.caller(key)
    caller.update(replace(caller.grant, **fields), {}, stage.clock.now_us())


@pytest.mark.parametrize("first", range(len(BROKEN)), ids=list(BROKEN))
def test_r13_the_first_broken_rule_is_the_answer_whatever_else_is_broken(on_stage, first):
    """R13: one order, end to end."""

    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        broken = list(BROKEN.values())
        for last in range(first, len(broken)):
            fields = {}
            for changes, _ in broken[first : last + 1]:
                fields |= changes
            caller = stage.caller(key)
            before = caller.grant
            restrict(stage, key, **fields)
            refused = await stage.ask(key)
            row = broken[first][1]
            assert refused.refusal.problem is row
            assert (row.status, row.code) == STATUSES[row]
            caller.update(before, {}, stage.clock.now_us())
        assert (await stage.ask(key)).error is None
        assert len(await stage.usage()) == 2, "401, 403 and 429 count nowhere"

    on_stage(main)


@pytest.mark.parametrize("name", list(BROKEN)[:6])
def test_i11_who_may_not_is_told_before_the_body_is_read(on_stage, name):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        restrict(stage, key, **BROKEN[name][0])
        exchange = stage.exchange(key)
        exchange.body_waits = [Signal()]  # It never comes.
        exchange.content_type = b"text/plain"
        refused = await stage.begin(exchange).end()
        assert refused.refusal.problem is BROKEN[name][1]

    on_stage(main)


def test_r13_what_holds_lets_the_request_pass(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        restrict(
            stage,
            key,
            expires_at_us=stage.clock.now_us() + 1,
            networks=(ip_network("192.0.2.0/24"),),
            endpoints=frozenset({"chat"}),
            models=("up-*",),
            project_models=("up-1",),
        )
        assert (await stage.ask(key)).error is None
        stage.clock.advance(0.000001)
        assert (await stage.ask(key)).refusal.problem is errors.KEY_EXPIRED

    on_stage(main)


# --- The credential -------------------------------------------------------------------------------


def basic(text):
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "header",
    [
        "Bearer {key}",
        "Bearer  {key} ",
        "bearer {key}",
        "BEARER   {key}",
        "basic of :{key}",
    ],
)
def test_a_key_is_taken_in_every_form_that_clients_send(on_stage, header):
    async def main(stage):
        key = await stage.key()
        exchange = stage.exchange()
        if header.startswith("basic"):
            exchange.authorization = basic(f":{key}")
        else:
            exchange.authorization = header.format(key=key).encode()
        assert (await stage.begin(exchange).end()).error is None
        again = stage.exchange()
        again.authorization = exchange.authorization
        assert (await stage.begin(again).end()).error is None

    on_stage(main)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"bearer ",
        b"Bearer ",
        b"Bearer   ",
        b"Digest abc",
        b"Basic",
        b"Basic !!!",
        basic("no colon"),
        basic("user:password"),
        basic(":"),
        basic("user:"),
    ],
)
def test_no_key_at_all_says_how_to_send_one(on_stage, header):
    async def main(stage):
        exchange = stage.exchange()
        exchange.authorization = header
        refused = await stage.begin(exchange).end()
        assert refused.refusal.problem is errors.NO_KEY
        assert "http://hall.example" in str(refused.refusal)

    on_stage(main)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "sk-kh_live_",
        "sk-kh_live_000000000000_" + "0" * 49,
        "sk-" + "a" * 48,
        "\x00" * 30,
        "é" * 40,
    ],
)
def test_what_is_no_key_of_ours_is_refused_without_a_look_up_and_shown_masked(on_stage, text):
    """Attack 10: 0 queries for a malformed key."""

    async def main(stage):
        stage.hall.callers._store = None
        refused = await stage.ask(text)
        assert refused.refusal.problem is errors.KEY_UNKNOWN
        said = str(refused.refusal)
        assert text not in said or len(set(text)) == 1
        assert said.isascii()
        assert said.isprintable()

    on_stage(main)


def test_a_well_formed_key_that_nobody_has_is_refused(on_stage):
    async def main(stage):
        key = await stage.stranger()
        refused = await stage.ask(key)
        assert refused.refusal.problem is errors.KEY_UNKNOWN
        assert key[20:-6] not in str(refused.refusal)

    on_stage(main)


def test_r13_an_admin_key_is_unknown_here(on_stage):
    async def main(stage):
        refused = await stage.ask(await stage.key(mode="admin", tier="free-trial"))
        assert refused.refusal.problem is errors.KEY_UNKNOWN

    on_stage(main)


# --- Headers that repeat the owner ----------------------------------------------------------------


def test_the_owner_headers_may_say_what_the_key_says_and_nothing_else(on_stage):
    async def main(stage):
        key = await stage.key()
        await stage.ask(key)
        grant = stage.caller(key).grant
        for organization, project, row in (
            (grant.organization_id, None, None),
            (grant.organization_name, grant.project_name, None),
            (None, grant.project_id, None),
            ("", "", None),
            ("org-other", None, errors.WRONG_ORGANIZATION),
            (None, "proj_other", errors.WRONG_PROJECT),
            ("org-other", "proj_other", errors.WRONG_ORGANIZATION),
            ("\xff", None, errors.WRONG_ORGANIZATION),
        ):
            exchange = stage.exchange(key)
            exchange.organization = organization and organization.encode("latin-1")
            exchange.project = project and project.encode("latin-1")
            await stage.begin(exchange).end()
            if row is None:
                assert exchange.error is None
            else:
                assert exchange.refusal.problem is row

    on_stage(main)


def test_answers_say_whose_key_it_was(on_stage):
    async def main(stage):
        key = await stage.key()
        answered = await stage.ask(key)
        grant = stage.caller(key).grant
        assert answered.headers["openai-organization"] == grant.organization_id
        assert answered.headers["openai-project"] == grant.project_id

    on_stage(main)
