"""The settings for people: each with its value, where it came from and its sentence; secrets
masked. And all that were given as a settings file, to copy."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from keyhall.config import SECRETS, SECTIONS, Config, Source
from keyhall.policy.secrets import MASK
from keyhall.policy.tiers import DEFAULT_OUTPUT, Tier


@dataclass(frozen=True, slots=True)
class Shown:
    section: str
    name: str
    value: Any  # MASK, if it is a secret that is set
    source: Source
    variable: str
    meaning: str


def shown(config: Config) -> list[Shown]:
    return [
        _shown(config, section, name)
        for section, kind in SECTIONS.items()
        for name in kind.__struct_fields__
    ]


def _shown(config: Config, section: str, name: str) -> Shown:
    value = getattr(getattr(config, section), name)
    if (section, name) in SECRETS and value:
        value = MASK
    return Shown(
        section=section,
        name=name,
        value=value,
        source=config.sources.get((section, name), "default"),
        variable=variable(section, name),
        meaning=meaning(section, name),
    )


def variable(section: str, name: str) -> str:
    return f"KEYHALL_{section}_{name}".upper()


def meaning(section: str, name: str) -> str:
    """The sentence that the setting's type carries."""
    for field in msgspec.structs.fields(SECTIONS[section]):
        if field.name == name:
            said = [meta.description for meta in field.type.__metadata__ if meta.description]
            return str(said[-1])
    raise LookupError(name)


# --- As a file ------------------------------------------------------------------------------------


def as_file(config: Config) -> str:
    """What was given, as a settings file that gives the same. A secret is not in it: it names the
    environment variable to take it from."""
    lines: list[str] = []
    given = [each for each in shown(config) if each.source != "default"]
    for section in SECTIONS:
        mine = [each for each in given if each.section == section]
        if mine:
            lines += ["", f"[{section}]", *(_line(each) for each in mine)]
    for tier in config.tiers.values():
        lines += ["", tier_toml(tier).rstrip("\n")]
    return (
        "\n".join(lines).lstrip("\n") + "\n" if lines else "# Everything is left to its default.\n"
    )


def _line(setting: Shown) -> str:
    if setting.value == MASK:
        return f'{setting.name} = "${{{setting.variable}}}"'
    return f"{setting.name} = {toml(setting.value)}"


def toml(value: Any) -> str:
    """A value as TOML writes it: a text, a number, a truth, or a list of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def tier_toml(tier: Tier) -> str:
    """A tier as the settings file declares it."""
    amounts = ", ".join(f"{name} = {amount}" for name, amount in _amounts(tier))
    lines = [f"[tiers.{tier.name}]", f"limits = {{ {amounts} }}" if amounts else "limits = {}"]
    if tier.default_output != DEFAULT_OUTPUT:
        lines.append(f"default_output = {tier.default_output}")
    return "\n".join(lines) + "\n"


def _amounts(tier: Tier) -> Iterator[tuple[str, int]]:
    limits: Mapping[str, int | None] = {
        "requests_per_minute": tier.limits.requests_per_minute,
        "tokens_per_minute": tier.limits.tokens_per_minute,
        "in_flight": tier.limits.in_flight,
    }
    for name, amount in limits.items():
        if amount is not None:
            yield name, amount
