"""`keyhall tiers`: the named sets of limits, with their stages."""

from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import BUILT_IN, Tier


@click.command()
@options
def tiers(as_json: bool, where: Where) -> None:
    """List the tiers and their limits."""

    async def work(house: House) -> dict[str, Tier]:
        return dict(house.tiers)

    found = sorted(act(where, work).values(), key=lambda tier: tier.name not in BUILT_IN)
    if as_json:
        show.as_json([json_of(tier) for tier in found])
        return
    rows = []
    for tier in found:
        rows.append((tier.name, _first(tier), *_amounts(tier.limits), f"{tier.default_output:,}"))
        for stage in tier.stages:
            after = f"{words.span(stage.from_age_us)} or longer"
            rows.append(("", after, *_amounts(stage.limits), f"{tier.default_output:,}"))
    show.table(
        ("Tier", "Billing active", ("RPM", "right"), ("TPM", "right"), ("In flight", "right"),
         ("Output cap", "right")),
        rows,
    )  # fmt: skip
    show.line(
        "\nRPM, TPM: requests and tokens in any 60 seconds. Output cap: of requests that name none."
    )


def _first(tier: Tier) -> str:
    """When a tier's first limits hold; they hold always where nothing follows."""
    return f"not, or under {words.span(tier.stages[0].from_age_us)}" if tier.stages else ""


def _amounts(limits: Limits) -> tuple[str, str, str]:
    def said(amount: int | None) -> str:
        return "none" if amount is None else f"{amount:,}"

    return (
        said(limits.requests_per_minute),
        said(limits.tokens_per_minute),
        said(limits.in_flight),
    )


def json_of(tier: Tier) -> dict[str, Any]:
    return {
        "name": tier.name,
        "built_in": tier.name in BUILT_IN,
        "limits": words.limits_json(tier.limits),
        "stages": [
            {
                "billing_active_for_hours": stage.from_age_us / 3_600_000_000,
                "limits": words.limits_json(stage.limits),
            }
            for stage in tier.stages
        ],
        "default_output": tier.default_output,
    }
