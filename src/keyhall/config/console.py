"""The console's section of the settings."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from keyhall.config.sections import Section


class Console(Section, frozen=True):
    """The pages for people: who may sign up, and what they agree to."""

    enabled: Annotated[
        bool, Meta(description="Serve the console; else only a page that says so.")
    ] = True
    sign_up: Annotated[
        Literal["auto", "open", "domains", "invite", "closed"],
        Meta(
            description="Who may make an account: everybody, who has an address of `domains`, who "
            "was invited, nobody. `auto` is `open` on this machine alone, else `invite`."
        ),
    ] = "auto"
    domains: Annotated[
        list[str], Meta(description="Domains whose addresses may sign up, if `sign_up` says so.")
    ] = msgspec.field(default_factory=list)
    terms_url: Annotated[
        str, Meta(description="Where your terms of use stand; empty: nothing is asked.")
    ] = ""
    terms_version: Annotated[
        str, Meta(description="Name of their edition; a new one is asked for at the next sign-in.")
    ] = "1"
    refusals_days: Annotated[
        int, Meta(ge=0, le=366, description="How long refused requests are listed; 0: never.")
    ] = 30
