"""The settings of reports that a key leaked, and of keys that wander."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from keyhall.config.sections import Section

Reports = Annotated[int, Meta(ge=1, le=1_000_000)]


class Leaks(Section, frozen=True):
    """Reports of leaked keys: whoever shows a key's full text has it revoked."""

    enabled: Annotated[bool, Meta(description="Take reports at `POST /v1/keyhall/leaks`.")] = True
    test_keys: Annotated[
        bool, Meta(description="Revoke test keys too; else they are left as they are.")
    ] = True
    reports_per_address: Annotated[
        Reports, Meta(description="Reports a minute from one address (IPv6: /64).")
    ] = 20
    reports_per_minute: Annotated[
        Reports, Meta(description="Reports a minute from all who do not sign theirs.")
    ] = 300
    github_keys_file: Annotated[
        str,
        Meta(
            description="Public keys that sign GitHub's reports: a file with the JSON of "
            "`https://api.github.com/meta/public_keys/secret_scanning`; empty: none is believed."
        ),
    ] = ""
    github_keys_url: Annotated[
        str,
        Meta(
            description="Where they are fetched instead, when the first signed report comes; "
            "empty: nowhere."
        ),
    ] = ""


class Wander(Section, frozen=True):
    """Keys that are used from implausibly many networks (IPv4: /24, IPv6: /48)."""

    networks_per_hour: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="A key's owner is told beyond so many; 0: never."),
    ] = 20
    times_usual: Annotated[
        int,
        Meta(ge=0, le=1_000, description="And beyond so many times what is usual for it; 0: any."),
    ] = 4


def mistakes(leaks: Leaks) -> Iterator[tuple[str, str]]:
    """A setting's name, and what follows it in a sentence of what is wrong with it."""
    if leaks.github_keys_url:
        if not _is_url(leaks.github_keys_url):
            yield "github_keys_url", " is not an address such as https://api.github.com/meta/keys."
        if leaks.github_keys_file:
            yield "github_keys_url", ": give a file or an address, not both."


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
