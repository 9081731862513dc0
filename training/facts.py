"""What is true of Keyhall, read from the product's own tables.

The exam grades by these and the corpus is written with these, so that neither drifts away from
what the product does: where a limit changes, so does the expected answer, and the model has to be
trained again.
"""

from dataclasses import dataclass

from keyhall.config.console import Console
from keyhall.config.sections import Sandbox, Server, Upstream
from keyhall.errors import TABLE, Problem
from keyhall.flows.alerts.webhook import DEADLINE_SECONDS as WEBHOOK_SECONDS
from keyhall.flows.engines.use_upstream import CALMER
from keyhall.flows.manage import keys as manage_keys
from keyhall.flows.manage.quotas import THRESHOLDS
from keyhall.policy import breaker, keys, tokens
from keyhall.policy.catalogue import Version
from keyhall.policy.people import class_list, letting_in, second_factor
from keyhall.policy.tiers import FREE_TRIAL, HOUR_US, PAY_AS_YOU_GO

_DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class TierFacts:
    """The numbers of one tier, or of one stage of it."""

    name: str
    requests: int
    tokens: int
    output: int


def _filled(limit: int | None) -> int:
    assert limit is not None, "the house model's tiers all have limits"
    return limit


_LATER = PAY_AS_YOU_GO.stages[-1]
FREE = TierFacts(
    FREE_TRIAL.name,
    _filled(FREE_TRIAL.limits.requests_per_minute),
    _filled(FREE_TRIAL.limits.tokens_per_minute),
    FREE_TRIAL.default_output,
)
FIRST = TierFacts(
    PAY_AS_YOU_GO.name,
    _filled(PAY_AS_YOU_GO.limits.requests_per_minute),
    _filled(PAY_AS_YOU_GO.limits.tokens_per_minute),
    PAY_AS_YOU_GO.default_output,
)
LATER = TierFacts(
    PAY_AS_YOU_GO.name,
    _filled(_LATER.limits.requests_per_minute),
    _filled(_LATER.limits.tokens_per_minute),
    PAY_AS_YOU_GO.default_output,
)
FIRST_HOURS = _LATER.from_age_us // HOUR_US

_VERSION = Version(0, "", "", "", 0)
INPUT_MAX = _VERSION.max_input_tokens
OUTPUT_MAX = _VERSION.max_output_tokens
TOKENIZER = _VERSION.tokenizer
MARGIN_PERCENT = _VERSION.margin_percent

ID_LENGTH = keys.ID_LENGTH
SECRET_LENGTH = keys.SECRET_LENGTH + keys.CHECK_LENGTH
CHECK_LENGTH = keys.CHECK_LENGTH
OVERLAP_HOURS = manage_keys.OVERLAP_US_DEFAULT // HOUR_US
OVERLAP_DAYS_MAX = manage_keys.OVERLAP_US_MAX // _DAY_US
ADMIN_DAYS = manage_keys.ADMIN_LIFE_US // _DAY_US

PORT = Server().port
HOST = Server().host
GRACE_SECONDS = Server().grace_seconds
DRAIN_SECONDS = Server().drain_seconds
SANDBOX_PACE = Sandbox().tokens_per_second
CONNECT_SECONDS = int(Upstream().connect_seconds)
FIRST_BYTE_SECONDS = int(Upstream().first_byte_seconds)
IDLE_SECONDS = int(Upstream().idle_seconds)
REFUSALS_DAYS = Console().refusals_days

CALM_FREQUENCY = CALMER.frequency_penalty
CALM_PRESENCE = CALMER.presence_penalty
ALERTS_AT = THRESHOLDS
ALERT_SECONDS = int(WEBHOOK_SECONDS)

PASSWORD_MIN = letting_in.PASSWORD_CHARACTERS.start
PASSWORD_MAX = letting_in.PASSWORD_CHARACTERS.stop - 1
SESSION_IDLE_DAYS = letting_in.SESSION_IDLE_US // _DAY_US
SESSION_DAYS = letting_in.SESSION_LIFE_US // _DAY_US
SESSIONS_MAX = letting_in.SESSIONS_MAX
RECOVERY_CODES = second_factor.RECOVERY_CODES
CLASS_MAX = class_list.PEOPLE_MAX

BREAKER_FAILURES = breaker.FAILURES_MAX
BREAKER_WAIT_MAX = breaker.WAIT_US_MAX // 1_000_000
EXACT_FACTOR = tokens.EXACT_FACTOR

ROWS: dict[str, Problem] = TABLE


def statuses(code: str) -> set[int]:
    """All HTTP statuses with which `/v1` sends a code."""
    found = {row.status for row in TABLE.values() if row.code == code}
    assert found, code
    return found


def status(code: str) -> int:
    """The one HTTP status of a code."""
    (only,) = statuses(code)
    return only
