"""`keyhall config`: every setting, its value and where it came from."""

import json
from dataclasses import asdict
from typing import Any

import click

from keyhall.cli.manage import show
from keyhall.cli.options import load_config
from keyhall.config.shown import Shown, shown
from keyhall.policy.tiers import describe


@click.group()
def config() -> None:
    """Show every setting and where it came from."""


@config.command("list")
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_settings(data: str | None, path: str | None, as_json: bool) -> None:
    """List all settings: value, where it came from, and meaning.

    Each can be set in the settings file, or in the environment as KEYHALL_<SECTION>_<NAME>.
    """
    settings = load_config(data, path)
    rows = [row_of(each) for each in shown(settings)]
    if as_json:
        tiers = sorted(settings.tiers)
        found = {"data": str(settings.data), "settings": rows, "tiers": tiers}
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"Data folder: {settings.data}\n")
    show.table(
        ("Setting", ("Value", "wrap"), "From", ("Meaning", "wrap")),
        [
            (f"{row['section']}.{row['name']}", _said(row["value"]), row["source"], row["meaning"])
            for row in rows
        ],
    )
    for tier in settings.tiers.values():
        click.echo(f"\nTier {tier.name}: {describe(tier.limits)}")


def row_of(setting: Shown) -> dict[str, Any]:
    return asdict(setting)


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
