"""`keyhall doctor`: what would keep Keyhall from running, each with what to do about it."""

import asyncio
import json
import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from keyhall import app
from keyhall.cli.options import load_config
from keyhall.clock import SystemClock
from keyhall.config import Config
from keyhall.policy.catalogue import status_at
from keyhall.ports.store import StoreAway
from keyhall.stores.sqlite import open_store

DISK_BYTES_LOW = 1 << 30
CLOCK_YEAR_MIN = 2026
CHECK_SECONDS = 5.0
JOURNAL_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `advice` says what to do; empty when all is well."""

    check: str
    state: str  # ok, warning, error
    says: str
    advice: str = ""


@click.command()
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(data: str | None, path: str | None, as_json: bool) -> None:
    """Check port, clock, disk, permissions, engines and prices. Exit status 1 on an error."""
    config = load_config(data, path)
    findings = [check(config) for check in (clock, disk, permissions, port)]
    findings += asyncio.run(inside(config))
    is_ill = any(finding.state == "error" for finding in findings)
    if as_json:
        found = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"ok": not is_ill, "findings": found}, indent=2))
    else:
        show(findings)
    sys.exit(1 if is_ill else 0)


def show(findings: list[Finding]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    marks = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        console.print(f"{marks[finding.state]}  {finding.check:{width}}  ", end="")
        console.print(finding.says, markup=False, soft_wrap=True)
        if finding.advice:
            console.print(f"{'':9}{'':{width}}  {finding.advice}", markup=False, soft_wrap=True)


# --- The machine ----------------------------------------------------------------------------------


def clock(_config: Config) -> Finding:
    year = time.gmtime(SystemClock().now_us() // 1_000_000).tm_year
    if year < CLOCK_YEAR_MIN:
        return Finding("clock", "error", f"The clock says {year}.", "Set it: timedatectl set-ntp 1")
    return Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def disk(config: Config) -> Finding:
    free = shutil.disk_usage(_existing(config.data)).free
    says = f"{free / (1 << 30):,.1f} GiB free for {config.data}"
    if free < JOURNAL_BYTES:
        return Finding("disk", "error", says, "Free some space: Keyhall cannot start without it.")
    if free < DISK_BYTES_LOW:
        return Finding("disk", "warning", says, "Make room: the ledger only grows.")
    return Finding("disk", "ok", says)


def permissions(config: Config) -> Finding:
    folder = _existing(config.data)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(
            "permissions", "error", f"{folder} cannot be written.", f"Give it to us: chown {folder}"
        )
    for name in ("pepper", "keyhall.db"):
        file = config.data / name
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            return Finding(
                "permissions", "error", f"Others may read {file}.", f"Run: chmod 600 {file}"
            )
    return Finding("permissions", "ok", f"{config.data} is ours and private")


def port(config: Config) -> Finding:
    server = config.server
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            where = f"{server.host}:{server.port}"
            return Finding(
                "port",
                "warning",
                f"{where} is not free: {error.strerror}.",
                "Fine if that is Keyhall itself; otherwise choose another with --port.",
            )
    return Finding("port", "ok", f"{server.host}:{server.port} is free")


# --- The hall -------------------------------------------------------------------------------------


async def inside(config: Config) -> list[Finding]:
    """What only an open store can tell. A folder without one is fine: `serve` makes it."""
    if not (config.data / "keyhall.db").exists():
        return [Finding("store", "ok", "none yet; the first `keyhall serve` makes it")]
    try:
        store = await open_store(config.data / "keyhall.db")
    except StoreAway as error:
        return [Finding("store", "error", str(error), "Restore the folder from its backup.")]
    try:
        findings = [Finding("store", "ok", str(config.data / "keyhall.db"))]
        catalogue = await store.load_catalogue()
        notes: list[str] = []
        engines = await app.open_engines(config, store, "", notes)
        findings += [Finding("engine", "warning", note) for note in notes]
        for name, engine in engines.items():
            findings.append(await _engine(name, engine.check))
        await app.close_engines(engines)
        now_us = SystemClock().now_us()
        for version in catalogue.versions.values():
            if version.price is None and status_at(version, now_us) != "retired":
                findings.append(
                    Finding(
                        "prices",
                        "warning",
                        f"{version.name} has no price: keys with a budget may not use it.",
                        f"Set one: keyhall versions price {version.name} --input N --output N",
                    )
                )
            if version.engine not in engines and status_at(version, now_us) != "retired":
                findings.append(
                    Finding(
                        "versions",
                        "warning",
                        f"{version.name} needs engine {version.engine}, which is not there.",
                        "Add the engine, or retire the version.",
                    )
                )
        return findings
    finally:
        await store.close()


async def _engine(name: str, check: Callable[[], object]) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            said = await check()  # type: ignore[misc]
    except TimeoutError:
        said = f"does not answer within {CHECK_SECONDS:.0f} s"
    if said:
        return Finding(
            "engine",
            "error",
            f"{name}: {said}",
            "See its own log; `keyhall engines list` has its URL.",
        )
    return Finding("engine", "ok", f"{name} is ready")
