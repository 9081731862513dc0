"""The settings that say who is told when a quota reaches a threshold, and the mistakes in them."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from keyhall.config.sections import Section
from keyhall.policy.secrets import MASK, signing_key


class Alerts(Section, frozen=True):
    """Who is told when a quota reaches a threshold: a webhook, e-mail, both or neither."""

    webhook_url: Annotated[
        str, Meta(description="Where alerts are posted, signed; empty: nowhere.")
    ] = ""
    webhook_secret: Annotated[
        str, Meta(description="What signs them: `whsec_` and 24 to 64 bytes in Base64.")
    ] = ""
    email_to: Annotated[str, Meta(description="Addresses that are written to, with commas.")] = ""
    email_from: Annotated[str, Meta(description="Address that they come from.")] = ""
    smtp_url: Annotated[
        str,
        Meta(description="Mail server: `smtp://USER:PASSWORD@HOST:587` (STARTTLS) or `smtps://`."),
    ] = ""

    def __repr__(self) -> str:
        return f"Alerts(email_to={self.email_to!r}, ...)"


def mistakes(alerts: Alerts) -> Iterator[tuple[str, str]]:
    """A setting's name, and what follows it in a sentence of what is wrong with it."""
    if alerts.webhook_url:
        if not _is_url(alerts.webhook_url, "http", "https"):
            said = f": '{alerts.webhook_url}' is not an address such as https://alerts.example.org."
            yield "webhook_url", said
        if not alerts.webhook_secret:
            yield "webhook_url", " needs a webhook_secret: what is not signed can be forged."
    if alerts.webhook_secret and signing_key(alerts.webhook_secret) is None:
        said = f" is {MASK}; expected whsec_ and 24 to 64 bytes in Base64."
        yield "webhook_secret", said
    if alerts.email_to and not (alerts.email_from and alerts.smtp_url):
        yield "email_to", " needs email_from and smtp_url."
    if alerts.smtp_url and not _is_url(alerts.smtp_url, "smtp", "smtps"):
        said = f" is {MASK}; expected smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST."
        yield "smtp_url", said


def _is_url(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
