"""Settings: one frozen value, read once from a TOML file and the environment.

A setting `name` in `[section]` is also the environment variable `KEYHALL_SECTION_NAME`, which
wins over the file; an option of the command line wins over both. `${NAME}` inside a text of the
file is replaced from the environment, so that secrets stay out of it. A misspelt section or name
refuses to start, and all mistakes are told at once. Without any file or variable, everything has a
default.
"""

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import platformdirs

from keyhall.config.alerts import Alerts, mistakes
from keyhall.config.console import Console
from keyhall.config.filter import Filter
from keyhall.config.leaks import Leaks, Wander
from keyhall.config.leaks import mistakes as mistakes_of_leaks
from keyhall.config.privacy import Privacy
from keyhall.config.sections import (
    Database,
    Keys,
    Log,
    Models,
    Redis,
    Sandbox,
    Section,
    Server,
    Upstream,
)
from keyhall.policy.access import names_this_machine
from keyhall.policy.keys import parse_peppers
from keyhall.policy.proxies import TrustedProxies
from keyhall.policy.secrets import MASK, Secret
from keyhall.policy.tiers import Tier, parse_tiers

__all__ = [
    "Config", "ConfigError", "Console", "Database", "Filter", "Keys", "Leaks", "Log", "Models",
    "Privacy", "Redis", "SECRETS", "SECTIONS", "Sandbox", "Server", "Source", "Upstream", "Wander",
    "load", "parse", "variables",
]  # fmt: skip


class ConfigError(Exception):
    """The settings do not make sense; the message has one line per mistake."""


Source = Literal["default", "file", "environment", "option"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, and where they came from."""

    data: Path
    server: Server = Server()
    log: Log = Log()
    sandbox: Sandbox = Sandbox()
    models: Models = Models()
    upstream: Upstream = Upstream()
    redis: Redis = Redis()
    database: Database = Database()
    keys: Keys = Keys()
    alerts: Alerts = Alerts()
    console: Console = Console()
    privacy: Privacy = Privacy()
    leaks: Leaks = Leaks()
    wander: Wander = Wander()
    filter: Filter = Filter()
    tiers: dict[str, Tier] = {}
    environ: dict[str, str] = {}  # for `--key-env NAME` of engines
    sources: dict[tuple[str, str], Source] = {}  # of settings that are not left to their default

    @property
    def is_for_this_machine(self) -> bool:
        """Nobody else can ask: it listens on loopback, and neither a proxy nor an address of its
        own says that others reach it."""
        server = self.server
        named = [server.host, urlsplit(server.url).hostname or ""] if server.url else [server.host]
        return not server.trusted_proxies and all(map(names_this_machine, named))

    def __repr__(self) -> str:
        return f"Config(data={str(self.data)!r}, ...)"  # The environment is full of secrets.

    @property
    def has_usual_data(self) -> bool:
        """Commands without `--data` find the same folder."""
        return self.data == _usual_data(self.environ)

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


SECTIONS: dict[str, type[Section]] = {
    "server": Server,
    "log": Log,
    "sandbox": Sandbox,
    "models": Models,
    "upstream": Upstream,
    "redis": Redis,
    "database": Database,
    "keys": Keys,
    "alerts": Alerts,
    "console": Console,
    "privacy": Privacy,
    "leaks": Leaks,
    "wander": Wander,
    "filter": Filter,
}
SECRETS = {  # settings whose value is never shown
    ("upstream", "api_key"),
    ("redis", "url"),
    ("database", "url"),
    ("keys", "pepper"),
    ("alerts", "webhook_secret"),
    ("alerts", "smtp_url"),
}

_LISTS = {
    ("server", "trusted_proxies"),
    ("console", "domains"),
    ("filter", "terms"),
}  # with commas between, there

# Environment names that begin with KEYHALL_ and are no setting of a section.
_OTHER_NAMES = {"KEYHALL_DATA", "KEYHALL_CONFIG", "KEYHALL_CORPORA", "KEYHALL_API_KEY"}
# What Kubernetes puts into every container beside a service that is called `keyhall`.
_OF_KUBERNETES = re.compile(
    r"KEYHALL_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?|PORT)"
)
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
        except UnicodeDecodeError:
            raise ConfigError(f"The settings file {path} is not UTF-8 text.") from None
        except OSError as error:
            said = error.strerror
            raise ConfigError(f"The settings file {path} cannot be read: {said}.") from None
    given = Path(data) if data else _usual_data(env)
    return parse(text, env, given, overrides or {}, f"The settings file {path}")


def _usual_data(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("KEYHALL_DATA") or platformdirs.user_data_dir("keyhall"))


def parse(
    text: str,
    environ: Mapping[str, str],
    data: Path,
    overrides: Mapping[str, Mapping[str, Any]],
    file: str = "The settings file",
) -> Config:
    """TOML text and an environment to settings. Pure. Raises ConfigError with every mistake, in
    which `file` says what the text is."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from None
    given = _Given(environ)
    tiers: dict[str, Tier] = {}
    for section, values in document.items():
        if section == "tiers":
            tiers = given.read_tiers(values)
        else:
            given.read_section(section, values)
    given.read_environment()
    for section, options in overrides.items():
        for name, value in options.items():
            if value is not None:
                given.put(section, name, value, "option", f"--{name.replace('_', '-')}")
    sections: dict[str, Any] = given.sections()
    if given.problems:
        raise ConfigError("\n".join(given.problems))
    sources = {place: given.sources[place] for place in given.values}
    return Config(data=data, tiers=tiers, environ=dict(environ), sources=sources, **sections)


class _Given:
    """What was given, from weakest to strongest source, and the mistakes in it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.values: dict[tuple[str, str], Any] = {}
        self.sources: dict[tuple[str, str], Source] = {}
        self._said: dict[tuple[str, str], str] = {}  # what a mistake is called by

    def put(self, section: str, name: str, value: Any, source: Source, said: str) -> None:
        place = section, name
        self.values[place] = value
        self.sources[place] = source
        self._said[place] = said

    def read_tiers(self, tables: Any) -> dict[str, Tier]:
        try:
            return parse_tiers(tables)
        except ValueError as error:
            self.problems.append(str(error))
            return {}

    def read_section(self, section: str, values: Any) -> None:
        kind = SECTIONS.get(section)
        if kind is None:
            known = [*SECTIONS, "tiers"]
            what = f"[{section}]" if isinstance(values, dict) else f"'{section}'"
            self.problems.append(f"{what} is not a section; {_nearest(section, known)}")
        elif not isinstance(values, dict):
            self.problems.append(f"'{section}' is a section: write [{section}].")
        else:
            for name, value in values.items():
                if name in kind.__struct_fields__:
                    self.put(section, name, value, "file", f"[{section}] {name}")
                else:
                    near = _nearest(name, kind.__struct_fields__)
                    self.problems.append(f"[{section}] has no setting '{name}'; {near}")

    def read_environment(self) -> None:
        for variable, value in self._environ.items():
            if not variable.startswith("KEYHALL_") or variable in _OTHER_NAMES:
                continue
            section, _, name = variable.removeprefix("KEYHALL_").lower().partition("_")
            if section in SECTIONS and name in SECTIONS[section].__struct_fields__:
                self.put(section, name, value, "environment", variable)
            elif not _OF_KUBERNETES.fullmatch(variable):
                near = _nearest(variable, variables())
                self.problems.append(f"{variable} is not a setting; {near}")

    def sections(self) -> dict[str, Section]:
        """Each value in its type, then what only several values together can say."""
        found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for section, kind in SECTIONS.items():
            types = {field.name: field.type for field in msgspec.structs.fields(kind)}
            for name in kind.__struct_fields__:
                if (section, name) in self.values:
                    self._convert((section, name), types[name], found[section])
        sections = {name: kind(**found[name]) for name, kind in SECTIONS.items()}
        server = sections["server"]
        assert isinstance(server, Server)
        self._check_server(server)
        self._check_shared(sections["database"], sections["keys"])
        console, alerts = sections["console"], sections["alerts"]
        assert isinstance(console, Console)
        if console.sign_up == "domains" and not console.domains:
            said = self._said["console", "sign_up"]
            self.problems.append(f"{said} is domains: name them, as in domains = ['example.org'].")
        assert isinstance(alerts, Alerts)
        for name, mistake in mistakes(alerts):
            self.problems.append(f"{self._said.get(('alerts', name), f'[alerts] {name}')}{mistake}")
        leaks = sections["leaks"]
        assert isinstance(leaks, Leaks)
        for name, mistake in mistakes_of_leaks(leaks):
            self.problems.append(f"{self._said.get(('leaks', name), f'[leaks] {name}')}{mistake}")
        return sections

    def _convert(self, place: tuple[str, str], kind: Any, into: dict[str, Any]) -> None:
        value = self.values[place]
        source = self.sources[place]
        try:
            if source == "file":
                value = _expanded(value, self._environ)
            elif source == "environment" and place in _LISTS:
                value = [text.strip() for text in value.split(",") if text.strip()]
            into[place[1]] = msgspec.convert(value, kind, strict=source == "file")
        except LookupError as error:
            self.problems.append(f"{self._said[place]}: {error.args[0]}.")
        except msgspec.ValidationError:
            shown = MASK if place in SECRETS else repr(value)
            self.problems.append(f"{self._said[place]} is {shown}; expected {_expected(kind)}.")

    def _check_server(self, server: Server) -> None:
        if bool(server.tls_cert) != bool(server.tls_key):
            self.problems.append("TLS needs both a certificate and its key: --tls-cert, --tls-key.")
        try:
            TrustedProxies(server.trusted_proxies)
        except ValueError as error:
            said = self._said["server", "trusted_proxies"]
            self.problems.append(f"{said}: {error}.")
        if server.url and not _is_url(server.url):
            said = self._said["server", "url"]
            self.problems.append(
                f"{said}: '{server.url}' is not an address such as https://keys.example.org."
            )

    def _check_shared(self, database: Section, keys: Section) -> None:
        assert isinstance(database, Database)
        assert isinstance(keys, Keys)
        if database.url and not database.url.startswith(("postgresql://", "postgres://")):
            said = self._said["database", "url"]
            self.problems.append(f"{said} is {MASK}; expected postgresql://user@host/name.")
        try:
            parse_peppers(keys.pepper)
        except ValueError as error:
            self.problems.append(f"{self._said['keys', 'pepper']} is {MASK}; {error}.")


def variables() -> list[str]:
    """Every environment variable that is a setting."""
    return [
        f"KEYHALL_{section}_{name}".upper()
        for section, kind in SECTIONS.items()
        for name in kind.__struct_fields__
    ]


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.8 if len(names) > 12 else 0.6)
    if near:
        return f"did you mean {near[0]}?"
    if len(names) > 12:
        return "`keyhall config list` names them all."
    return f"expected one of {', '.join(names)}."


def _expected(annotation: Any) -> str:
    """A setting's type, for people."""
    kind, *metas = typing.get_args(annotation)
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    least = next((meta.ge for meta in metas if meta.ge is not None), None)
    most = next((meta.le for meta in metas if meta.le is not None), None)
    if kind is str:
        return "a text that is not empty" if any(meta.min_length for meta in metas) else "a text"
    if kind is bool:
        return "true or false"
    if kind is float:
        return f"a number above 0 and up to {most}"
    if kind is int:
        return f"a whole number from {least} " + ("on" if most is None else f"to {most}")
    return "a list of texts"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _expanded(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_expanded(inner, environ) for inner in value]
    if isinstance(value, str):
        return _PLACE.sub(lambda found: _looked_up(found[1], environ), value)
    return value


def _looked_up(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise LookupError(f"${{{name}}} is not set in the environment")
    return environ[name]
