"""What `keyhall serve` shows once it is open: where, the first key, who answers, what next.

Coloured on a terminal, plain elsewhere. Written without a table library: nothing that only looks
nice may hold up a start.
"""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from keyhall import __version__
from keyhall.app import House
from keyhall.config import Config
from keyhall.flows.models.house import HOUSE
from keyhall.policy import access

DAY_SECONDS = 86_400
TLS_DAYS_LOW = 21
KEYS_SHOWN_MAX = 3

say = click.echo


def show(house: House, config: Config, url: str, tls_until: float | None = None) -> None:
    name = click.style(f"Keyhall {__version__}", bold=True)
    say(f"\n{name} is open at {click.style(url, bold=True)}")
    say(f"Data folder: {config.data}")
    if config.database.url:
        say(f"Database: {house.store.place}")
    now = house.hall.clock.now_us() / 1_000_000
    for line in [*warnings(config, tls_until, now), *recovered(house)]:
        say(click.style(line, fg="yellow"))
    if house.first.key is not None:
        _first_key(url, house.first.key.reveal())
    else:
        _known_keys(house, config)
    for line in [*who_answers(house, config), *house.notes, *console(house, config, url)]:
        say(line)
    say("\nStop with Ctrl-C.\n")


def warnings(config: Config, tls_until: float | None, now: float) -> list[str]:
    """What deserves attention before anything else."""
    server = config.server
    lines = []
    if not server.tls_cert and not _is_loopback(server.host):
        lines.append(
            f"Listening on {server.host} without TLS: keys and conversations cross the network in "
            "clear. Give --tls-cert and --tls-key, or put a proxy with TLS in front."
        )
    if tls_until is not None:
        days = (tls_until - now) / DAY_SECONDS
        if days < 0:
            lines.append(f"The certificate {server.tls_cert} is over: clients will refuse it.")
        elif days < TLS_DAYS_LOW:
            lines.append(f"The certificate {server.tls_cert} ends in {days:.0f} days.")
    return lines


def _is_loopback(host: str) -> bool:
    return host == "localhost" or any(each.is_loopback for each in access.addresses(host))


def _first_key(url: str, key: str) -> None:
    body = json.dumps({"model": "v1", "messages": [{"role": "user", "content": "Hello"}]})
    title = click.style("Your first key", bold=True)
    say(f"\n{title} (tier free-trial; shown once, stored nowhere):")
    say(f"\n  {click.style(key, fg='green', bold=True)}\n")
    say("Try it with curl:\n")
    say(
        f"  curl {url}/v1/chat/completions \\\n"
        f'    -H "Authorization: Bearer {key}" \\\n'
        '    -H "Content-Type: application/json" \\\n'
        f"    -d '{body}'\n"
    )
    say("or Python (pip install openai):\n")
    say(
        "  from openai import OpenAI\n\n"
        f'  client = OpenAI(base_url="{url}/v1", api_key="{key}")\n'
        "  answer = client.chat.completions.create(\n"
        '      model="v1", messages=[{"role": "user", "content": "Hello"}])\n'
        "  print(answer.choices[0].message.content)\n"
    )


def _known_keys(house: House, config: Config) -> None:
    masked = house.first.masked_keys
    if masked:
        more = " and more" if len(masked) > KEYS_SHOWN_MAX else ""
        say(f"Keys: {', '.join(masked[:KEYS_SHOWN_MAX])}{more}")
    else:
        say("No key is in use.")
    say(f"Another key: {program()} keys create --name NAME{_where(config)}")


def _where(config: Config) -> str:
    """What a command needs to find this data folder from any shell."""
    return "" if config.has_usual_data else f" --data {shlex.quote(str(config.data))}"


def program() -> str:
    """How this program is called from here."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m keyhall"
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return called.name
    near = os.path.relpath(called)
    return near if len(near) < len(str(called)) else str(called)


def console(house: House, config: Config, url: str) -> list[str]:
    """Where people sign in, or how the first of them does."""
    if not config.console.enabled:
        return []
    if house.set_up is None:
        return [f"Console: {url}/"]
    link = click.style(house.set_up.reveal(), bold=True)
    return [f"Console: make the first account (the link works once)\n  {link}"]


def who_answers(house: House, config: Config) -> list[str]:
    """Who stands behind `v1`, and what to do about it."""
    version, where = house.hall.catalogue.find("v1"), _where(config)
    if version is None:
        return [f"v1 means nothing: {program()} aliases move v1 v1-sandbox-1{where}"]
    if version.engine not in house.hall.engines:
        return [
            f"v1 means {version.name}, but there is no engine {version.engine}: add it, or "
            f"{program()} aliases move v1 v1-sandbox-1{where}"
        ]
    if version.engine != "sandbox":
        here = any(model.name == version.engine for model in house.engines.models)
        who = f"the model {version.engine}, on this machine" if here else f"engine {version.engine}"
        if here and version.engine == HOUSE:
            return [
                f"v1 answers from {version.name}: the house model, small, and about Keyhall only.\n"
                "For another add a GGUF file, or a server of yours, or start with OPENAI_API_KEY "
                "set:\n"
                f"  {program()} models add ./model.gguf{where}\n"
                f"  {program()} engines add vllm --url http://127.0.0.1:8000/v1{where}"
            ]
        return [
            f"v1 answers from {version.name} ({who}). From another:\n  "
            f"{program()} aliases move v1 VERSION{where}"
        ]
    line = "v1 answers from the sandbox, which is not an AI."
    if len(house.hall.engines) == 1:
        line += (
            " For a real model add a GGUF file, or\na server of yours, or start with "
            "OPENAI_API_KEY (and OPENAI_BASE_URL) set:\n"
            f"  {program()} models add ./model.gguf{where}\n"
            f"  {program()} engines add vllm --url http://127.0.0.1:8000/v1{where}"
        )
    return [line]


def recovered(house: House) -> list[str]:
    """What the last run left open, if it was killed."""
    found = house.recovered
    lines = []
    if found.spooled:
        what = "1 usage record" if found.spooled == 1 else f"{found.spooled:,} usage records"
        lines.append(
            f"The database was away when the last run ended: {what} came in from the spool."
        )
    total = found.settled + found.crashed + found.lost
    if total:
        running = found.crashed + found.lost
        now = "1 of its requests is now recorded" if total == 1 else ""
        now = now or f"{total:,} of its requests are now recorded"
        still = f"; {running:,} of them {'was' if running == 1 else 'were'} still running"
        if total == running:
            still = "; it was still running" if total == 1 else "; all were still running"
        lost = f", {found.lost:,} charged in full because the count is lost" if found.lost else ""
        lines.append(f"The last run ended suddenly: {now}{still if running else ''}{lost}.")
    return lines + [f"{line}: nobody could be charged for it." for line in found.damaged]
