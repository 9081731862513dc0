"""From a refusal back to its row of the error table: what it means and what to do about it."""

import re

from keyhall import errors
from keyhall.errors import Problem
from keyhall.policy.access import names

_PLACE = re.compile(r"\{\w+\}")


def explain(status: int | None, message: str) -> Problem | None:
    """The row whose sentence this is, with whatever facts; None for what is not ours. A stream that
    fails midway has no status of its own.

    Linear in the message, whoever wrote it: a pattern of a regular expression could be made slow.
    """
    rows = [row for row in errors.TABLE.values() if status in (None, row.status)]
    found = [row for row in rows if names((_PLACE.sub("*", row.message),), message)]
    # Of several, the one that says most of it in its own words.
    return max(found, key=lambda row: len(_PLACE.sub("", row.message)), default=None)
