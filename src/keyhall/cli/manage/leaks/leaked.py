"""`keyhall keys leaked FILE...`: keys in files and logs, whose they are, and their end."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.options import fail
from keyhall.cli.progress import Progress, shown
from keyhall.flows.leaks.revoke_leaked import Where as Seen
from keyhall.flows.leaks.revoke_leaked import look, revoke_leaked
from keyhall.flows.leaks.scan import Scan, Sighting
from keyhall.policy import keys as form
from keyhall.policy.leaks.finding import inert
from keyhall.ports.records import Key


@dataclass(frozen=True, slots=True)
class Line:
    """A key that was seen; `key` is None for one of somebody else's server."""

    seen: Sighting
    key: Key | None
    was_revoked: bool
    state: str


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--revoke", is_flag=True, help="Revoke those that are not, and tell their owners.")
@options
def leaked(files: tuple[str, ...], revoke: bool, as_json: bool, where: Where) -> None:
    """Find keys in files and logs (- is standard input), and say whose they are.

    Exits with 1 if a key of this server is among them that is not revoked: for hooks and CI.
    """
    scan = Scan()
    with shown(is_wanted=not as_json, is_bytes=True) as progress:
        for each in files:
            _read(scan, each, progress)
    lines = act(where, lambda house: _looked_up(house, scan, revoke))
    if as_json:
        show.as_json({
            "scanned_bytes": scan.scanned_bytes,
            "keys": [_json(line) for line in lines],
        })  # fmt: skip
    else:
        _told(scan, lines, revoke)
    if any(line.key is not None and line.state != "revoked" for line in lines):
        sys.exit(1)


def _read(scan: Scan, name: str, progress: Progress) -> None:
    try:
        if name == "-":
            scan.read("-", sys.stdin.buffer, 0, progress)
            return
        path = Path(name)
        with path.open("rb") as file:
            scan.read(name, file, path.stat().st_size, progress)
    except OSError as error:
        fail(f"{name}: {error.strerror or error}.")


async def _looked_up(house: House, scan: Scan, revoke: bool) -> list[Line]:
    def digests(text: bytes) -> Sequence[bytes]:
        return [form.digest(pepper, text) for pepper in house.peppers]

    found, ended = await look(house.store, list(scan.found), digests), set[str]()
    if revoke:
        seen = [
            (each.text, Seen(each.place, "keyhall keys leaked", "operator"))
            for each in scan.found.values()
        ]
        done = await revoke_leaked(house.store, seen, digests, with_test=True, **house.by)
        ended = set(done.revoked)
    lines = []
    for each in scan.found.values():
        key = found.get(each.text)
        if key is None:
            lines.append(Line(each, None, False, "unknown"))
        else:
            is_ended = key.id in ended
            lines.append(
                Line(each, key, is_ended, "revoked" if is_ended else key.state(house.now_us))
            )
    return lines


def _json(line: Line) -> dict[str, Any]:
    seen, key = line.seen, line.key
    said: dict[str, Any] = {
        "masked": form.mask_ours(seen.text),
        "file": seen.file,
        "line": seen.line,
        "count": seen.count,
        "state": line.state,
        "revoked_now": line.was_revoked,
    }
    if key is not None:
        said |= {
            "id": key.id,
            "name": key.name,
            "project": key.project_id,
            "organization": key.organization_id,
            "account": key.account_id,
        }
    return said


def _told(scan: Scan, lines: Sequence[Line], revoke: bool) -> None:
    if not lines:
        show.line(f"No keys in {words.counted(scan.scanned_bytes, 'byte')}.")
        return
    show.table(
        ("Where", "Key", "Id", ("Name", "wrap"), ("Project", "wrap"), "State", ("Times", "right")),
        [
            (
                inert(line.seen.place, 200),
                form.mask_ours(line.seen.text),
                line.key.id if line.key else "",
                line.key.name if line.key else "",
                line.key.project_name if line.key else "",
                "revoked now" if line.was_revoked else line.state,
                f"{line.seen.count:,}",
            )
            for line in lines
        ],
    )
    live = [line for line in lines if line.key and line.state != "revoked"]
    if live and not revoke:
        show.line(f"\n{words.counted(len(live), 'key')} not revoked: --revoke ends them.")
    if any(line.was_revoked for line in lines):
        show.line("\nA running server refuses them within a second; their owners are told.")
    if any(line.key is None for line in lines):
        show.line("\nUnknown: the form of a key, but none of this server's.")
