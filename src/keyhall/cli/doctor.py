"""`keyhall doctor`: what would keep Keyhall from running, each with what to do about it.

A folder that no server has seen yet stays as it is. While a server runs on the folder, the port
that it listens on counts as its own.
"""

import asyncio
import json
import math
import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from keyhall.cli import tls
from keyhall.cli.manage.models import adding, text
from keyhall.cli.options import load_config
from keyhall.cli.serve import address_of, url_of, why_not_listening
from keyhall.cli.serving import serving
from keyhall.clock import SystemClock
from keyhall.config import Config
from keyhall.engines.local import process
from keyhall.flows import first_run
from keyhall.flows.engines.run_engines import NAMES_SHOWN, REFUSED, Engines, Unserved
from keyhall.flows.engines.use_upstream import some
from keyhall.flows.manage.checks import Refused
from keyhall.flows.models import house
from keyhall.flows.models.house import all_models
from keyhall.ledger.spool import PATTERN as SPOOLS
from keyhall.policy.catalogue import Catalogue, status_at
from keyhall.ports.records import ModelRecord
from keyhall.ports.store import StoreAway
from keyhall.stores.migrate import NothingThere, SchemaUnfit
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import PepperRefused, find_peppers
from keyhall.stores.sql import SqlStore

State = Literal["ok", "warning", "error"]

DISK_BYTES_LOW = 1 << 30
DISK_BYTES_MIN = 16 << 20  # a new database and the journal
CLOCK_AT_LEAST = 1_767_225_600  # 2026-01-01, when there was no Keyhall yet
CHECK_SECONDS = 5.0
TLS_DAYS_LOW = 21
_COLORS = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `advice` says what to do; empty when all is well."""

    check: str
    state: State
    says: str
    advice: str = ""


@click.command()
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(data: str | None, path: str | None, as_json: bool) -> None:
    """Check clock, disk, permissions, port, TLS, engines, models and prices.

    The exit status is 1 if anything keeps Keyhall from working.
    """
    config = load_config(data, path)
    findings = [each(config) for each in (clock, disk, permissions, port, certificate)]
    findings += usage(config)
    findings += asyncio.run(inside(config))
    is_ill = any(finding.state == "error" for finding in findings)
    if as_json:
        found = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"ok": not is_ill, "findings": found}, indent=2))
    else:
        # NO_COLOR is heeded; None leaves it to click, which asks whether this is a terminal.
        show(findings, color=False if config.environ.get("NO_COLOR") else None)
    sys.exit(1 if is_ill else 0)


def show(findings: list[Finding], color: bool | None = None) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        state = click.style(f"{finding.state:8}", fg=_COLORS[finding.state])
        click.echo(f"{state} {finding.check:{width}}  {finding.says}", color=color)
        if finding.advice:
            click.echo(f"{'':8} {'':{width}}  {finding.advice}")


# --- The machine ----------------------------------------------------------------------------------


def clock(_config: Config) -> Finding:
    now = SystemClock().now_us() // 1_000_000
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < CLOCK_AT_LEAST:
        return Finding("clock", "error", f"It says {said}.", "Set it: timedatectl set-ntp true")
    return Finding("clock", "ok", said)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def disk(config: Config) -> Finding:
    free = shutil.disk_usage(_existing(config.data)).free
    says = f"{free / (1 << 30):,.1f} GiB free for {config.data}"
    if free < DISK_BYTES_MIN:
        return Finding("disk", "error", says, "Make room: Keyhall cannot start on a full disk.")
    if free < DISK_BYTES_LOW:
        return Finding("disk", "warning", says, "Make room: the ledger only grows.")
    return Finding("disk", "ok", says)


def permissions(config: Config) -> Finding:
    folder = _existing(config.data)
    if not folder.is_dir():
        return Finding("permissions", "error", f"{folder} is no folder.", "Choose another: --data")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "permissions",
            "error",
            f"We may not write into {folder}.",
            "Run this as the user who runs the server, or give the folder to that user: chown",
        )
    for name in ("pepper", "keyhall.db"):
        file = config.data / name
        if not file.exists():
            continue
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            advice = f"chmod 600 {file}"
            return Finding("permissions", "error", f"Others may read {file}.", advice)
        if not os.access(file, os.R_OK | os.W_OK):
            advice = "Run this as the user who runs the server."
            return Finding("permissions", "error", f"We may not write {file}.", advice)
    if folder != config.data:
        return Finding("permissions", "ok", f"{config.data} can be made")
    return Finding("permissions", "ok", f"{config.data} is ours, its secrets are private")


def port(config: Config) -> Finding:
    server = config.server
    where = f"{server.host} port {server.port}"
    try:
        family, address = address_of(server)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        process = serving(config.data)
        if process is not None:
            return Finding("port", "ok", f"{where} is in use; our server runs (process {process})")
        return Finding(
            "port",
            "error",
            f"Cannot listen on {where}: {why_not_listening(error)}",
        )
    return Finding("port", "ok", f"{where} is free" if server.port else "takes any that is free")


def certificate(config: Config) -> Finding:
    server = config.server
    if not server.tls_cert:
        return Finding("tls", "ok", "not used")
    try:
        until = tls.read(server)
    except tls.Unusable as error:
        return Finding("tls", "error", str(error))
    if until is None:
        return Finding("tls", "ok", f"{server.tls_cert} and its key can be used")
    days = (until - SystemClock().now_us() / 1_000_000) / 86_400
    day = time.strftime("%Y-%m-%d", time.gmtime(until))
    if days < 0:
        return Finding("tls", "error", f"{server.tls_cert} ended on {day}.", "Renew it.")
    if days < TLS_DAYS_LOW:
        return Finding("tls", "warning", f"{server.tls_cert} ends on {day}.", "Renew it in time.")
    return Finding("tls", "ok", f"{server.tls_cert} is good until {day}")


def usage(config: Config) -> list[Finding]:
    """Usage that is not in the database yet, and what could not be read."""
    findings = []
    spools = sorted(config.data.glob(SPOOLS))
    if spools:
        mib = sum(path.stat().st_size for path in spools) / (1 << 20)
        names = some([path.name for path in spools], NAMES_SHOWN)
        says = f"{mib:,.1f} MiB of usage wait for the database, in {names}."
        advice = "`/readyz` says what is wrong with it; they come in by themselves."
        if serving(config.data) is None:
            advice = "The next `keyhall serve` takes them in. Do not delete them."
        findings.append(Finding("usage", "warning", says, advice))
    damaged = sorted(config.data.glob("*.bin.damaged-*"))
    if damaged:
        names = some([path.name for path in damaged], NAMES_SHOWN)
        says = f"Part of {names} could not be read: nobody was charged for it."
        advice = "Look at the disk. Delete it when you need it no more."
        findings.append(Finding("usage", "warning", says, advice))
    return findings


# --- The hall -------------------------------------------------------------------------------------


async def inside(config: Config) -> list[Finding]:
    """What only an open store can tell. A folder without one is fine: `serve` makes it."""
    try:
        store = await open_database(
            config.database.url, config.data, makes=False, damage_seconds=math.inf
        )
    except NothingThere:
        return [Finding("store", "ok", "none yet; the first `keyhall serve` makes it")]
    except (StoreAway, SchemaUnfit) as error:
        return [Finding("store", "error", str(error))]
    async with store:
        try:
            return await _hall(config, store)
        except StoreAway as error:
            advice = "Look at its server." if config.database.url else "Look at its disk."
            return [Finding("store", "error", f"{store.place}: {error}", advice)]


async def _hall(config: Config, store: SqlStore) -> list[Finding]:
    now_us = SystemClock().now_us()
    findings = [
        Finding("store", "ok", store.place),
        await _pepper(config, store),
    ]
    server = config.server
    own = [(server.host, server.port)]
    engines = Engines(config, url=url_of(server, server.port), own=own)
    try:
        engines.refresh(await store.list_engines())  # Models would be loaded a second time.
        findings += [Finding("engines", "warning", note) for note in engines.left_out]
        for name, engine in engines.table.items():
            if name in engines.without_key:
                findings.append(_keyless(name, engines.without_key[name]))
            else:
                findings.append(await _engine(name, engine.check))
    finally:
        await engines.close()
    added = await all_models(store, config)
    findings += models(added)
    catalogue = await store.load_catalogue()
    names = {model.name for model in added}
    lacking = [each for each in engines.unserved(catalogue, now_us) if each.engine not in names]
    return findings + versions(catalogue, lacking, now_us)


async def _pepper(config: Config, store: SqlStore) -> Finding:
    given = config.keys.pepper
    if not given and not (config.data / "pepper").exists():
        return Finding(
            "pepper",
            "error",
            f"{config.data / 'pepper'} is missing: without it no key works.",
            "Restore it from its backup.",
        )
    try:
        await first_run.check_pepper(store, find_peppers(given, config.data))
    except (PepperRefused, Refused) as error:
        return Finding("pepper", "error", str(error))
    return Finding("pepper", "ok", "is the one that the keys were made with")


def _keyless(name: str, variable: str) -> Finding:
    """Without its key an engine would refuse us, which says nothing of how it treats the server."""
    says = f"{name} was not asked: {variable} is not set in this shell."
    advice = f"Set {variable} here too and look again. `/readyz` says what the server finds."
    return Finding("engines", "warning", says, advice)


async def _engine(name: str, check: Callable[[], Awaitable[str | None]]) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            said = await check()
    except TimeoutError:
        said = f"no answer within {CHECK_SECONDS:g} s"
    if said is None:
        return Finding("engines", "ok", f"{name} is ready")
    says = f"{name}: {said.rstrip('.')}."
    return Finding("engines", "error", says, "Its address: keyhall engines list")


def models(found: list[ModelRecord]) -> list[Finding]:
    """Whether each file is still what was added, as far as that shows without reading it."""
    findings = []
    for model in found:
        state = house.state(model)
        says = f"{model.name}: {model.path} {_FILE_SAYS[state]}"
        grade: State = "ok" if state == "ok" else "warning" if state == "touched" else "error"
        findings.append(Finding("models", grade, says, text.ADVICE[state].format(name=model.name)))
    if found and not process.can_run():
        says = f"What runs {some([model.name for model in found], NAMES_SHOWN)} is not installed."
        findings.append(Finding("models", "error", says, f"{adding.INSTALL}; {REFUSED} until then"))
    return findings


_FILE_SAYS = {
    "ok": "is there, of the same size and time",
    "missing": "is missing.",
    "unreadable": "may not be read.",
    "changed": "has another size than was pinned.",
    "touched": "was written to since it was added.",
}


def versions(catalogue: Catalogue, unserved: list[Unserved], now_us: int) -> list[Finding]:
    """What versions need and do not have; one line for each want, however many lack it."""
    used = [each for each in catalogue.versions.values() if status_at(each, now_us) != "retired"]
    findings = [_unserved(each) for each in unserved]
    unpriced = [each.name for each in used if each.price is None]
    if unpriced:
        findings.append(
            Finding(
                "prices",
                "warning",
                f"No price for {some(unpriced, NAMES_SHOWN)}: keys with a budget may not use them.",
                f"keyhall versions price {unpriced[0]} --help",
            )
        )
    if not used:
        return [Finding("versions", "ok", "none yet; the first `keyhall serve` makes them")]
    return findings or [Finding("versions", "ok", f"{len(used)}, each with an engine and a price")]


def _unserved(found: Unserved) -> Finding:
    says, advice = found.says, found.advice
    if found.is_given and not found.is_left_out:
        says = f"This shell's environment makes no engine {found.engine} for {found.names}."
        advice = f"If the server's makes none either, {REFUSED}: it needs OPENAI_API_KEY."
    return Finding("versions", "warning", says, advice)
