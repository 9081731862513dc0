"""Patterns that come with Keyhall: secrets, cards, accounts, addresses. Each with its reason and
with sentences that it must find and must pass.

What precedes a match is never part of it, and the characters that a match may begin with are those
it goes on with: so few starting places are alive at once, and hostile texts stay cheap.
"""

from collections.abc import Sequence

import msgspec

from keyhall.policy.filters.rules import Action, Rule

OWNER = "Keyhall"
_PEM = "-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"


def _secret(name: str, pattern: str, what: str, finds: str, passes: str) -> Rule:
    return Rule(
        id=f"secrets/{name}",
        stage="pattern",
        action="block",
        reason=f"{what} opens a door to whoever reads it.",
        owner=OWNER,
        finds=(finds,),
        passes=(passes,),
        pattern=pattern,
        label="SECRET",
    )


# Examples are cut in two, so that no scanner of repositories takes them for real ones.
SECRETS = (
    _secret(
        "keyhall-key", r"sk-kh_[A-Za-z0-9_]{20,100}", "A key of Keyhall",
        "My key is sk-kh_" + "live_4fzzwcjhqg8wfrzrxz9e4ypkqv8p2m1n", "They begin with sk-kh_.",
    ),
    _secret(
        "openai-key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9]{20,200}", "A key of OpenAI",
        "use sk-" + "proj-Zq3vT8mK1xW5nB7cY2dF9gH4", "The sk- prefix and task-force-one.",
    ),
    _secret(
        "anthropic-key", r"sk-ant-[a-z0-9]{1,12}-[A-Za-z0-9_]{20,200}", "A key of Anthropic",
        "sk-ant-" + "api03-Zq3vT8mK1xW5nB7cY2dF9gH4", "sk-ant is how they begin.",
    ),
    _secret(
        "github-token", r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255}",
        "A token of GitHub", "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345", "ghp_short is none.",
    ),
    _secret(
        "aws-key-id", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b", "An access key id of AWS",
        "AKIA" + "IOSFODNN7EXAMPLE", "AKIA is a prefix.",
    ),
    _secret(
        "google-key", r"AIza[A-Za-z0-9_-]{35}", "A key of Google",
        "AIza" + "SyA1234567890abcdefghijklmnopqrstuv", "AIza is a prefix.",
    ),
    _secret(
        "slack-token", r"xox[abprs]-[A-Za-z0-9-]{10,250}", "A token of Slack",
        "xoxb-" + "123456789012-abcdefghij", "xoxb- is a prefix.",
    ),
    _secret(
        "json-web-token",
        r"eyJ[A-Za-z0-9_-]{8,800}\.eyJ[A-Za-z0-9_-]{8,800}\.[A-Za-z0-9_-]{16,800}",
        "A JSON web token",
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jVmNHl0w5N",
        "eyJhbGciOiJIUzI1NiJ9 alone is a head.",
    ),
    _secret(
        "private-key", _PEM, "A private key",
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow", "-----BEGIN PUBLIC KEY-----",
    ),
)  # fmt: skip


def _personal(name: str, label: str, pattern: str, reason: str, **more: object) -> Rule:
    rule = Rule(
        id=f"personal/{name}", stage="pattern", action="mask", reason=reason, owner=OWNER,
        pattern=pattern, label=label,
    )  # fmt: skip
    return msgspec.structs.replace(rule, **more)


CARDS = _personal(
    "card", "CARD", r"\b[0-9](?:[ -]?[0-9]){12,18}\b",
    "Numbers of payment cards are to be kept from who need not have them.",
    check="luhn", finds=("Pay with 4111 1111 1111 1111 please.",),
    passes=("Order 4111 1111 1111 1112 has 16 digits too.",),
)  # fmt: skip
IBAN = _personal(
    "iban", "IBAN", r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "Account numbers name a person and their bank.",
    check="iban", finds=("To DE89 3704 0044 0532 0130 00 AND BACK.",),
    passes=("DE89 3704 0044 0532 0130 01 has wrong check digits.",),
)  # fmt: skip
EMAIL = _personal(
    "email", "EMAIL",
    r"[A-Za-z0-9._%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}",
    "An address names a person, and reaches them.",
    finds=("Write to ada.lovelace@example.org today.",), passes=("Meet @ noon, or look at @ada.",),
)  # fmt: skip
PHONE = _personal(
    "phone", "PHONE",
    r"\+[0-9](?:[ ().-]{0,2}[0-9]){7,14}\b|\b0[0-9]{2,5}[ /-][0-9](?:[ -]?[0-9]){4,9}\b"
    r"|\(?\b[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4}\b",
    "A telephone number names a person, and reaches them.",
    finds=("Call +49 30 901820 or 030 901820-12.", "(212) 555-0142"),
    passes=("In 2024 it cost 1,000,000.", "Version 10.20.30, 123456."),
)  # fmt: skip

GROUPS: dict[str, Sequence[Rule]] = {
    "secrets": SECRETS, "cards": (CARDS,), "iban": (IBAN,), "email": (EMAIL,), "phone": (PHONE,),
}  # fmt: skip


def rules(groups: Sequence[str], action: Action | None = None) -> tuple[Rule, ...]:
    """Those of some groups, with another action if one is given."""
    chosen = [rule for group in groups for rule in GROUPS[group]]
    if action is None:
        return tuple(chosen)
    return tuple(msgspec.structs.replace(rule, action=action) for rule in chosen)
