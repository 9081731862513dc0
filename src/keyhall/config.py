"""Settings: one frozen value, read once from a TOML file and the environment.

A setting `name` in `[section]` is also the environment variable `KEYHALL_SECTION_NAME`, which
wins over the file. `${NAME}` inside a string of the file is replaced from the environment, so that
secrets stay out of it. A misspelt section or name refuses to start, and all mistakes are told at
once. Without any file or variable, everything has a default.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
from msgspec import Meta

from keyhall.policy.secrets import Secret
from keyhall.policy.tiers import Tier, parse_tiers


class ConfigError(Exception):
    """The settings do not make sense; the message has one line per mistake."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


class Server(_Section, frozen=True):
    """Where Keyhall listens and how it is reached."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one.")] = 8484
    url: Annotated[
        str, Meta(description="Address that people use, for messages; empty: made from the above.")
    ] = ""
    tls_cert: Annotated[str, Meta(description="PEM file of the certificate chain.")] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's key.")] = ""
    trusted_proxies: Annotated[
        list[str],
        Meta(description="Addresses or networks of proxies whose X-Forwarded-For is believed."),
    ] = []
    body_bytes_max: Annotated[
        Positive, Meta(description="Largest request body; larger ones get 413.")
    ] = 10 * 1024 * 1024
    grace_seconds: Annotated[
        int, Meta(ge=0, description="How long running answers may go on after SIGTERM.")
    ] = 30


class Log(_Section, frozen=True):
    """What is written to standard error, as JSON or for people. Never text of a conversation."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least serious level.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="`auto` is for people on a terminal and JSON elsewhere."),
    ] = "auto"
    requests: Annotated[
        Literal["none", "errors", "all"],
        Meta(description="Which requests leave a line; every admitted one is in the ledger."),
    ] = "errors"


class Sandbox(_Section, frozen=True):
    """The embedded engine that is no AI."""

    tokens_per_second: Annotated[
        int, Meta(ge=0, description="Pace of its streams; 0 sends everything at once.")
    ] = 50


class Upstream(_Section, frozen=True):
    """Deadlines towards upstream engines, in seconds, and the engine from the environment."""

    connect_seconds: Annotated[float, Meta(gt=0, description="To connect, with TLS.")] = 5.0
    first_byte_seconds: Annotated[float, Meta(gt=0, description="To an answer's first byte.")] = (
        600.0
    )
    idle_seconds: Annotated[float, Meta(gt=0, description="Between two pieces of an answer.")] = (
        120.0
    )
    connections_max: Annotated[Positive, Meta(description="Open connections per engine.")] = 1024
    base_url: Annotated[
        str, Meta(description="Engine from the environment; `OPENAI_BASE_URL` if empty.")
    ] = ""
    api_key: Annotated[
        str, Meta(description="Its key, best written `${NAME}`; `OPENAI_API_KEY` if empty.")
    ] = ""
    model: Annotated[
        str, Meta(description="The upstream model behind `v1`; `KEYHALL_UPSTREAM_MODEL` too.")
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, and where they came from."""

    data: Path
    server: Server = Server()
    log: Log = Log()
    sandbox: Sandbox = Sandbox()
    upstream: Upstream = Upstream()
    tiers: dict[str, Tier] = {}
    environ: dict[str, str] = {}  # for `--key-env NAME` of engines

    @property
    def upstream_key(self) -> Secret | None:
        text = self.upstream.api_key or self.environ.get("OPENAI_API_KEY", "")
        return Secret(text) if text else None

    @property
    def upstream_url(self) -> str:
        given = self.upstream.base_url or self.environ.get("OPENAI_BASE_URL", "")
        return given or "https://api.openai.com/v1"

    @property
    def upstream_model(self) -> str:
        return self.upstream.model or self.environ.get("KEYHALL_UPSTREAM_MODEL", "")


SECTIONS: dict[str, type[_Section]] = {
    "server": Server,
    "log": Log,
    "sandbox": Sandbox,
    "upstream": Upstream,
}
# Environment names that begin with KEYHALL_ and are no setting of a section.
_OTHER_NAMES = {"KEYHALL_DATA", "KEYHALL_CONFIG", "KEYHALL_UPSTREAM_MODEL", "KEYHALL_CORPORA"}
_PLACE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load(
    data: str | None = None,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """The settings of this process. `overrides` are command-line options by section and name.

    Raises ConfigError with every mistake in it.
    """
    env = dict(os.environ if environ is None else environ)  # noqa: TID251 - the one place
    path = config or env.get("KEYHALL_CONFIG")
    text = ""
    if path:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"The settings file {path} cannot be read: {error}") from None
    folder = data or env.get("KEYHALL_DATA") or platformdirs.user_data_dir("keyhall")
    return parse(text, env, Path(folder), overrides or {})


def parse(
    text: str,
    environ: Mapping[str, str],
    data: Path,
    overrides: Mapping[str, Mapping[str, Any]],
) -> Config:
    """TOML text and an environment to settings. Pure."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The settings file is not TOML: {error}") from None
    problems: list[str] = []
    tiers: dict[str, Tier] = {}
    raw: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for name, value in document.items():
        if name == "tiers":
            tiers = _tiers(value, problems)
        elif name in raw and isinstance(value, dict):
            raw[name] = value
        else:
            known = ", ".join(sorted([*SECTIONS, "tiers"]))
            problems.append(f"[{name}] is not a section; expected one of {known}.")
    _from_environment(raw, environ, problems)
    for section, values in overrides.items():
        raw[section] |= {name: value for name, value in values.items() if value is not None}
    sections = {name: _convert(name, values, environ, problems) for name, values in raw.items()}
    if problems:
        raise ConfigError("\n".join(problems))
    chosen: dict[str, Any] = sections
    return Config(data=data, tiers=tiers, environ=dict(environ), **chosen)


def _tiers(value: Any, problems: list[str]) -> dict[str, Tier]:
    try:
        return parse_tiers(value)
    except ValueError as error:
        problems.append(str(error))
        return {}


def _from_environment(
    raw: dict[str, dict[str, Any]], environ: Mapping[str, str], problems: list[str]
) -> None:
    for variable, value in environ.items():
        if not variable.startswith("KEYHALL_") or variable in _OTHER_NAMES:
            continue
        section, _, name = variable.removeprefix("KEYHALL_").lower().partition("_")
        if section in SECTIONS and name in SECTIONS[section].__struct_fields__:
            raw[section][name] = value.split(",") if name == "trusted_proxies" else value
        else:
            problems.append(f"{variable} is not a setting; `keyhall config list` names them all.")


def _convert(
    name: str, values: dict[str, Any], environ: Mapping[str, str], problems: list[str]
) -> _Section:
    kind = SECTIONS[name]
    try:
        return msgspec.convert(_expand(values, environ), kind, strict=False)
    except (msgspec.ValidationError, LookupError) as error:
        problems.append(f"[{name}] {error}")
        return kind()


def _expand(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _expand(inner, environ) for name, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, environ) for inner in value]
    if isinstance(value, str):
        return _PLACE.sub(lambda found: _looked_up(found[1], environ), value)
    return value


def _looked_up(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise LookupError(f"${{{name}}} is not set in the environment")
    return environ[name]
