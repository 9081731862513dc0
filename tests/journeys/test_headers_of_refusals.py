"""A refusal says whose key it is as an answer does, and its limits once they were asked."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
from patience import PATIENCE_SECONDS


def refused(server: Any, body: dict[str, Any]) -> Mapping[str, str]:
    request = urllib.request.Request(
        f"{server.base_url}/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {server.key}", "content-type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS)
    with error.value:
        return error.value.headers


ASK = {"messages": [{"role": "user", "content": "Hi"}]}


def test_a_refusal_names_the_organization_and_project_once_the_key_is_known(keyhall_server):
    headers = refused(keyhall_server, ASK | {"model": "v1", "n": 99})
    assert headers["openai-organization"].startswith("org_")
    assert headers["openai-project"].startswith("proj_")
    assert headers["x-request-id"].startswith("req_")
    assert "x-ratelimit-limit-requests" not in headers  # The limits were not asked.


def test_r20_a_request_that_was_admitted_and_failed_tells_its_limits(keyhall_server):
    headers = refused(keyhall_server, ASK | {"model": "sandbox/429"})
    assert headers["openai-organization"].startswith("org_")
    assert int(headers["x-ratelimit-remaining-requests"]) >= 0
    assert int(headers["x-ratelimit-limit-tokens"]) == 100_000_000
