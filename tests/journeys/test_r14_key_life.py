"""R13, R14: what a command does to a key, a running server knows at once."""

import json
import time
from typing import Any

import pytest
from openai import APIStatusError, OpenAI
from patience import PATIENCE_SECONDS, stretched

SEEN_SECONDS_MAX = 1.0  # R14; 200 ms where the machine is quiet


def code_of(client: OpenAI, model: str = "v1") -> str | None:
    """The code with which a call is refused; None if it is answered."""
    try:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=1
        )
    except APIStatusError as error:
        return error.code
    return None


def becomes(client: OpenAI, expected: str | None, **asked: str) -> None:
    """The server answers as expected within the time that R14 gives it."""
    began = time.monotonic()
    while (code := code_of(client, **asked)) != expected:
        assert time.monotonic() - began < stretched(SEEN_SECONDS_MAX), (
            f"{code} instead of {expected}"
        )


@pytest.fixture
def key(keyhall_server: Any) -> Any:
    return keyhall_server.make_key(name="life", tier="roomy")


@pytest.fixture
def client(keyhall_server: Any, key: Any) -> OpenAI:
    return OpenAI(base_url=keyhall_server.base_url, api_key=key["key"], max_retries=0)


def test_r14_commands_are_followed_by_a_running_server(
    keyhall_server: Any, key: Any, client: OpenAI
) -> None:
    def run(*arguments: str) -> None:
        keyhall_server.command("keys", arguments[0], key["id"], *arguments[1:])

    assert code_of(client) is None
    keyhall_server.run("keys", "pause", key["id"])  # In a process of its own, as people do.
    becomes(client, "key_paused")
    run("resume")
    becomes(client, None)
    run("scopes", "--models", "v1.1")
    becomes(client, "missing_scope")
    becomes(client, None, model="v1.1")
    run("scopes", "--models", "all")
    run("networks", "--ip", "192.0.2.0/24")
    becomes(client, "ip_not_authorized")
    run("networks", "--any")
    becomes(client, None)
    run("expire", "--at", "0")
    becomes(client, "key_expired")
    run("expire", "--at", "never")
    becomes(client, None)
    run("revoke", "--reason", "the end")
    becomes(client, "key_revoked")


def test_r14_a_key_that_was_asked_for_too_early_works_once_it_is_there(
    keyhall_server: Any,
) -> None:
    """Unknown keys are remembered for a second at most, and a new key ends that."""
    made = keyhall_server.make_key(name="early", tier="roomy")
    client = OpenAI(base_url=keyhall_server.base_url, api_key=made["key"], max_retries=0)
    typo = OpenAI(base_url=keyhall_server.base_url, api_key=made["key"][:-1], max_retries=0)
    assert code_of(typo) == "invalid_api_key"
    becomes(client, None)


def test_a_rotated_key_and_its_successor_both_work_in_the_overlap(
    keyhall_server: Any, key: Any, client: OpenAI
) -> None:
    done = keyhall_server.command("keys", "rotate", key["id"], "--json")
    new = OpenAI(base_url=keyhall_server.base_url, api_key=json.loads(done)["key"], max_retries=0)
    becomes(new, None)
    assert code_of(client) is None
    keyhall_server.command("keys", "revoke", key["id"])
    becomes(client, "key_revoked")
    assert code_of(new) is None


def test_an_alias_that_is_moved_means_the_other_version_at_once(
    keyhall_server: Any, client: OpenAI
) -> None:
    keyhall_server.command("aliases", "move", "journey", "v1")
    becomes(client, None, model="journey")
    keyhall_server.command("aliases", "move", "journey", "v1.1")

    def answered_by() -> str:
        answer = client.chat.completions.create(
            model="journey", messages=[{"role": "user", "content": "Hello"}], max_tokens=1
        )
        return answer.model

    began = time.monotonic()
    while answered_by() != "v1.1-sandbox-1":
        assert time.monotonic() - began < stretched(SEEN_SECONDS_MAX)


def test_usage_of_a_running_server_is_reported(
    keyhall_server: Any, key: Any, client: OpenAI
) -> None:
    """The ledger is flushed every 250 ms; the report is up to what was flushed."""
    answer = client.chat.completions.create(
        model="v1", messages=[{"role": "user", "content": "Hello"}], max_tokens=5
    )
    began = time.monotonic()
    while True:
        told = keyhall_server.command("usage", "--key", key["id"], "--json")
        total = json.loads(told)["total"]
        if total["requests"]:
            break
        assert time.monotonic() - began < PATIENCE_SECONDS
    assert answer.usage is not None
    assert total["requests"] == 1
    assert total["input_tokens"] == answer.usage.prompt_tokens
    assert total["output_tokens"] == answer.usage.completion_tokens
    assert "life" in keyhall_server.command("keys", "show", key["id"])
