"""The setting that bounds how long conversations may be kept."""

from typing import Annotated

from msgspec import Meta

from keyhall.config.sections import Section
from keyhall.policy.content.retention import DAYS_MAX


class Privacy(Section, frozen=True):
    """What may be kept of conversations. Nothing is, until a project asks for it."""

    retention_days_max: Annotated[
        int,
        Meta(
            ge=0,
            le=DAYS_MAX,
            description="How many days any project may keep conversations; 0: none may.",
        ),
    ] = DAYS_MAX
