"""How an account is let in: passwords, e-mail addresses, how long sessions and links live, and how
failed tries are slowed down. Pure: the caller hashes, draws and knows the time.
"""

from dataclasses import dataclass
from typing import Literal

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

SESSION_IDLE_US = 7 * DAY_US
SESSION_LIFE_US = 30 * DAY_US
SEEN_EVERY_US = MINUTE_US  # A session's last use is written at most so often.
PENDING_LIFE_US = 10 * MINUTE_US  # between the password and the second factor
SESSIONS_MAX = 50  # of an account; the oldest ends when one more begins

LinkKind = Literal["set-up", "invite", "reset", "verify"]
LINK_LIFE_US: dict[LinkKind, int] = {
    "set-up": 7 * DAY_US,
    "invite": 14 * DAY_US,
    "reset": 30 * MINUTE_US,
    "verify": DAY_US,
}

PASSWORD_CHARACTERS = range(12, 257)  # Length is what counts (NIST 800-63B-4); a bound for argon2.
EMAIL_CHARACTERS_MAX = 254

# Failed tries that are free, and then a wait that doubles. An account is never locked for good:
# its owner waits at most WAIT_US_MAX.
FREE_TRIES: dict[str, int] = {"account": 5, "network": 20, "everybody": 1_000}
# Letters with links count as tries too, or a mailbox could be flooded through us.
FREE_TRIES |= {"letters to an address": 3, "letters from a network": 20}
FREE_TRIES |= {"letters to everybody": 1_000, "invitations of an organization": 50}
# So do accounts that are made: each costs a slow hash and carries a free trial, and a class may sit
# behind one address.
FREE_TRIES |= {"accounts from a network": 100}
WAIT_US_FIRST = 2_000_000
WAIT_US_MAX = 15 * MINUTE_US
FORGOTTEN_US = HOUR_US  # without a failure


@dataclass(frozen=True, slots=True)
class Tries:
    """Failures of one subject: an account, a network, everybody."""

    count: int
    last_at_us: int


def wait_us(kind: str, tries: Tries | None, now_us: int) -> int:
    """How long until the next try is looked at; 0 is now.

    >>> wait_us("account", Tries(5, 0), 0), wait_us("account", Tries(7, 0), 0)
    (0, 4000000)
    """
    if tries is None or now_us - tries.last_at_us >= FORGOTTEN_US:
        return 0
    beyond = tries.count - FREE_TRIES[kind]
    if beyond <= 0:
        return 0
    wait = min(WAIT_US_FIRST << min(beyond - 1, 30), WAIT_US_MAX)
    return max(0, tries.last_at_us + wait - now_us)


def failed(tries: Tries | None, now_us: int) -> Tries:
    """One failure more; those of long ago are forgotten."""
    if tries is None or now_us - tries.last_at_us >= FORGOTTEN_US:
        return Tries(1, now_us)
    return Tries(tries.count + 1, now_us)


def not_failed(tries: Tries) -> Tries:
    """A try that was counted, and was right."""
    return Tries(max(0, tries.count - 1), tries.last_at_us)


def session_ends_us(created_at_us: int, now_us: int) -> int:
    """When a session that is used now ends, if it is not used again."""
    return min(now_us + SESSION_IDLE_US, created_at_us + SESSION_LIFE_US)


def email(text: str) -> str | None:
    """An address as it is kept: one `@`, a dotted domain, in small letters; None for anything
    else. Whether it exists only a letter can tell."""
    trimmed = text.strip()
    name, at, domain = trimmed.rpartition("@")
    is_bounded = len(trimmed) <= EMAIL_CHARACTERS_MAX and 0 < len(name) <= 64
    if not (at and is_bounded and trimmed.isascii() and trimmed.isprintable()):
        return None
    if any(each in trimmed for each in " \"'(),:;<>[\\]") or "@" in name:
        return None
    labels = domain.split(".")
    if len(labels) < 2 and domain != "localhost":
        return None
    if not all(label and label.replace("-", "").isalnum() for label in labels):
        return None
    return trimmed.lower()


def in_domains(address: str, domains: tuple[str, ...]) -> bool:
    """Whether an address belongs to one of the domains, or below it."""
    domain = address.rpartition("@")[2]
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


def network(ip: str) -> str:
    """What is slowed down together: an IPv4 address, the /64 of an IPv6 address."""
    if ":" not in ip:
        return ip
    from ipaddress import ip_network

    return str(ip_network(f"{ip.partition('%')[0]}/64", strict=False))


def password_problem(text: str, known: tuple[str, ...] = ()) -> str | None:
    """Why a password is not taken; `known` are words that others know of the account and of this
    hall: name, address, where it is."""
    if len(text) < PASSWORD_CHARACTERS.start:
        short = PASSWORD_CHARACTERS.start
        return f"It has {len(text)} characters; at least {short} are needed. Four words will do."
    if len(text) >= PASSWORD_CHARACTERS.stop:
        return f"It has {len(text)} characters; at most {PASSWORD_CHARACTERS.stop - 1} fit."
    lowered = text.lower()
    if len(set(lowered)) < 5:
        return "It repeats the same few characters. Four words will do."
    left = _without(lowered, known)
    if left != lowered and sum(map(str.isalnum, left)) < LEFT_CHARACTERS:
        return FIRST_TRIED
    return None


def _without(lowered: str, known: tuple[str, ...]) -> str:
    """What is left of a password without the words that anybody would begin with."""
    words = set(EXPECTED)
    for each in known:
        parts = "".join(letter if letter.isalnum() else " " for letter in each.lower()).split()
        words |= {part for part in parts if len(part) >= WORD_CHARACTERS}
    for word in sorted(words, key=len, reverse=True):
        lowered = lowered.replace(word, "")
    return lowered


FIRST_TRIED = "It is among the first that others would try. Four words will do."
# Letters and digits that are left of a password without such words: a password of their own.
LEFT_CHARACTERS = 8
WORD_CHARACTERS = 4  # Shorter ones stand in other words by chance.
# What programs try first of a server like this one; beside the account's own words.
EXPECTED = frozenset(
    {
        *("keyhall", "openai", "chatgpt", "apikey", "secret", "password", "passwort", "passwd"),
        *("admin", "administrator", "operator", "owner", "member", "student", "teacher"),
        *("welcome", "letmein", "changeme", "qwerty", "iloveyou", "correcthorsebatterystaple"),
        *("123456789", "123456", "12345", "1234", "abcdef"),
    }
)
