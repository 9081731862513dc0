"""`keyhall config`: every setting, its value and where it came from."""

import json
import os
from typing import Any

import click
import msgspec

from keyhall.cli.options import load_config
from keyhall.config import SECTIONS, Config

SECRETS = {"api_key"}


@click.group()
def config() -> None:
    """Show every setting and where it came from."""


@config.command("list")
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_settings(data: str | None, path: str | None, as_json: bool) -> None:
    """List all settings: value, source, environment variable and meaning."""
    settings = load_config(data, path)
    rows = [_row(settings, section, name) for section, name in _names()]
    if as_json:
        click.echo(json.dumps({"data": str(settings.data), "settings": rows}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"Data folder: {settings.data}")
    table = Table("Setting", "Value", "Environment variable", "Meaning", box=None)
    for row in rows:
        value = json.dumps(row["value"])
        style = "" if row["is_default"] else "bold"
        table.add_row(
            f"{row['section']}.{row['name']}",
            f"[{style}]{value}[/]" if style else value,
            row["variable"],
            row["meaning"],
        )
    console.print(table)


def _names() -> list[tuple[str, str]]:
    return [
        (section, name) for section, kind in SECTIONS.items() for name in kind.__struct_fields__
    ]


def _row(settings: Config, section: str, name: str) -> dict[str, Any]:
    value = getattr(getattr(settings, section), name)
    default = getattr(SECTIONS[section](), name)
    if name in SECRETS and value:
        value = "***"
    variable = f"KEYHALL_{section.upper()}_{name.upper()}"
    return {
        "section": section,
        "name": name,
        "value": value,
        "is_default": value == default,
        "source": _source(variable, value == default),
        "variable": variable,
        "meaning": meaning(section, name),
    }


def _source(variable: str, is_default: bool) -> str:
    if variable in os.environ:  # noqa: TID251 - says where a value came from, reads none
        return "environment"
    return "default" if is_default else "file"


def meaning(section: str, name: str) -> str:
    """The sentence that the setting's type carries."""
    for field in msgspec.inspect.type_info(SECTIONS[section]).fields:  # type: ignore[attr-defined]
        if field.name == name:
            kind = field.type
            if isinstance(kind, msgspec.inspect.Metadata):
                return str((kind.extra_json_schema or {}).get("description", ""))
    return ""
