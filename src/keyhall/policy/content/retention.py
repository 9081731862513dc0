"""Retention: how many days a conversation is kept. 0 is the class `none`, which is the default.

A project says it, one of its keys may say something else, the organization and the operator may
say how long at most. The strictest of them counts: nobody is kept longer than anybody said, and
where the project says nothing, nothing is kept.
"""

NONE = 0
DAYS_MAX = 365  # So that "we keep it for good" cannot be said.
DAY_US = 86_400_000_000


def days(*, project: int | None, key: int | None, organization_max: int | None) -> int:
    """For how many days what a key says and is answered is kept. None: nothing was said there.

    >>> days(project=None, key=30, organization_max=None)
    0
    >>> days(project=30, key=7, organization_max=90), days(project=30, key=None, organization_max=1)
    (7, 1)
    """
    said = [project or NONE]
    said += [each for each in (key, organization_max) if each is not None]
    return min(said)


def is_class(wanted: int | None) -> bool:
    """Whether so many days can be asked for; None is asked for by whoever has nothing to say."""
    return wanted is None or NONE <= wanted <= DAYS_MAX


def describe(days: int | None, otherwise: str = "not set") -> str:
    """`none`, `1 day`, `30 days`."""
    if days is None:
        return otherwise
    if days == NONE:
        return "none"
    return "1 day" if days == 1 else f"{days} days"


def parse(text: str) -> int:
    """A class as people write it: `none`, `30d`, `30 days`, `30`. ValueError with a sentence.

    >>> parse("none"), parse("30d"), parse("1 day")
    (0, 30, 1)
    """
    written = text.strip().lower()
    if written == "none":
        return NONE
    number = written.removesuffix("days").removesuffix("day").removesuffix("d").strip()
    if number.isascii() and number.isdigit() and len(number) <= 3:
        found = int(number)
        if 1 <= found <= DAYS_MAX:
            return found
    raise ValueError(f"'{text}' is no retention: write none, or 1d to {DAYS_MAX}d.")
