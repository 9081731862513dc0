"""Usage rows for tests: what a test does not name is that of an ordinary answered request."""

from typing import Any

from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource

NOW_US = 1_800_000_000_000_000


def made_usage(number: int = 1, at_us: int = NOW_US, **fields: Any) -> Usage:
    """The row of request `number`, admitted and ended at that time. Of a key, project and
    organization that nobody has made, unless the fields name some."""
    known: dict[str, Any] = {
        "request_id": f"{number:032x}",
        "key_id": "key_000000000000",
        "project_id": "proj_000000000000",
        "organization_id": "org_000000000000",
        "version": "v1-sandbox-1",
        "endpoint": Endpoint.CHAT,
        "is_test": False,
        "is_stream": False,
        "admitted_at_us": at_us,
        "finished_at_us": at_us,
        "first_byte_us": 0,
        "input_tokens": 60,
        "output_tokens": 40,
        "held_tokens": 200,
        "output_cap": 100,
        "cost_nano": 1_000,
        "outcome": Outcome.ANSWERED,
        "usage_source": UsageSource.COUNTED,
    }
    return Usage(**(known | fields))


def usage_of(key: Any, number: int = 1, at_us: int = NOW_US, **fields: Any) -> Usage:
    """The same of a key that was made."""
    owners = {
        "key_id": key.id,
        "project_id": key.project_id,
        "organization_id": key.organization_id,
    }
    return made_usage(number, at_us, **(owners | fields))
