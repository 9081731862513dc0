"""The filter's section of the settings."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from keyhall.config.sections import Section

Action = Literal["off", "allow", "flag", "mask", "block"]


class Filter(Section, frozen=True):
    """Rules on what is asked and answered. They find words and shapes, and understand nothing.
    Without any, nothing is looked at. Rules with more to them: `keyhall filters`."""

    characters_max: Annotated[
        int, Meta(ge=0, description="Longest single text of a request; 0: no bound but the body's.")
    ] = 0
    signs: Annotated[
        Action, Meta(description="Signs that nobody sees: control, direction, zero width.")
    ] = "off"
    secrets: Annotated[
        Action, Meta(description="API keys, tokens, private keys, in questions and answers.")
    ] = "off"
    cards: Annotated[Action, Meta(description="Numbers of payment cards, by check digit.")] = "off"
    iban: Annotated[Action, Meta(description="Bank accounts, by check digits.")] = "off"
    email: Annotated[
        Action, Meta(description="Addresses; `mask` hides them from the engine, not the caller.")
    ] = "off"
    phone: Annotated[Action, Meta(description="Telephone numbers.")] = "off"
    terms: Annotated[
        list[str],
        Meta(description="Files of terms, one a line; `*` at an end: also inside longer words."),
    ] = msgspec.field(default_factory=list)
    terms_action: Annotated[Action, Meta(description="What is done about a term.")] = "flag"
    model: Annotated[
        str,
        Meta(description="Model that judges whole texts: a version or alias, asked in a chat; "
             "`engine:NAME` asks that engine's `/moderations`. Empty: none."),
    ] = ""  # fmt: skip
    model_action: Annotated[Action, Meta(description="What is done about its judgement.")] = "flag"
    model_seconds: Annotated[
        float, Meta(gt=0, le=60, description="So long it may take to judge a text.")
    ] = 5.0
    model_fail: Annotated[
        Literal["closed", "open"],
        Meta(description="If it cannot judge: `closed` acts as if it had found something."),
    ] = "closed"
