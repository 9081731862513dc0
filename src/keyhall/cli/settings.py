"""`keyhall config`: every setting, its value and where it came from."""

import json
from typing import Any

import click
import msgspec

from keyhall.cli.manage import show
from keyhall.cli.options import load_config
from keyhall.config import SECRETS, SECTIONS, Config
from keyhall.policy.secrets import MASK
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
    rows = [
        _row(settings, section, name)
        for section, kind in SECTIONS.items()
        for name in kind.__struct_fields__
    ]
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


def _row(settings: Config, section: str, name: str) -> dict[str, Any]:
    value = getattr(getattr(settings, section), name)
    if (section, name) in SECRETS and value:
        value = MASK
    return {
        "section": section,
        "name": name,
        "value": value,
        "source": settings.sources.get((section, name), "default"),
        "variable": f"KEYHALL_{section}_{name}".upper(),
        "meaning": meaning(section, name),
    }


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def meaning(section: str, name: str) -> str:
    """The sentence that the setting's type carries."""
    for field in msgspec.structs.fields(SECTIONS[section]):
        if field.name == name:
            said = [meta.description for meta in field.type.__metadata__ if meta.description]
            return str(said[-1])
    raise LookupError(name)
