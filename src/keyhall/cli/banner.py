"""What `keyhall serve` shows once it is open: where, the first key, who answers, what next."""

import sys

from rich.console import Console

from keyhall import __version__
from keyhall.app import House
from keyhall.config import Config

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def show(house: House, config: Config, url: str) -> None:
    console = Console(highlight=False, soft_wrap=True, stderr=False)
    console.print(f"\n[bold]Keyhall {__version__}[/] is open at [bold]{url}[/]")
    console.print(f"Data folder: {config.data}")
    for line in warnings(config):
        console.print(f"[yellow]{line}[/]")
    key = house.first.key
    if key is not None:
        _first_key(console, url, key.reveal())
    else:
        _known_keys(console, house)
    _engine(console, house)
    for note in house.notes:
        console.print(note, markup=False)
    _recovered(console, house)
    if house.first.setup_token is not None:
        console.print(
            f"\nSet-up link (works once, claims the first account): "
            f"{url}/setup/{house.first.setup_token.reveal()}"
        )
    console.print("\nStop with Ctrl-C.\n")
    sys.stdout.flush()


def warnings(config: Config) -> list[str]:
    server = config.server
    if server.host not in LOOPBACK and not server.tls_cert:
        return [
            f"Listening on {server.host} without TLS: keys and conversations cross the network in "
            "clear. Give --tls-cert and --tls-key, or put a proxy with TLS in front."
        ]
    return []


def _first_key(console: Console, url: str, key: str) -> None:
    console.print("\n[bold]Your first key[/] (tier free-trial; shown once, stored nowhere):\n")
    console.print(f"  [bold green]{key}[/]\n")
    console.print("Try it with curl:\n")
    console.print(
        f"  curl {url}/v1/chat/completions \\\n"
        f'    -H "Authorization: Bearer {key}" \\\n'
        '    -H "Content-Type: application/json" \\\n'
        """    -d '{"model": "v1", "messages": [{"role": "user", "content": "Hello"}]}'\n""",
        markup=False,
    )
    console.print("or Python (pip install openai):\n")
    console.print(
        "  from openai import OpenAI\n\n"
        f'  client = OpenAI(base_url="{url}/v1", api_key="{key}")\n'
        "  answer = client.chat.completions.create(\n"
        '      model="v1", messages=[{"role": "user", "content": "Hello"}])\n'
        "  print(answer.choices[0].message.content)\n",
        markup=False,
    )


def _known_keys(console: Console, house: House) -> None:
    masked = house.first.masked_keys
    if masked:
        console.print(f"Keys: {', '.join(masked[:3])}{' and more' if len(masked) > 3 else ''}")
    console.print("Another key: keyhall keys create --name NAME")


def _engine(console: Console, house: House) -> None:
    version = house.hall.catalogue.find("v1")
    if version is None:
        console.print("[yellow]v1 means nothing: keyhall aliases move v1 VERSION[/]")
    elif version.engine == "sandbox":
        console.print(
            "v1 answers from the [bold]sandbox[/], which is not an AI. For a real model start with "
            "OPENAI_API_KEY (and OPENAI_BASE_URL)\nset, or: keyhall engines add NAME --url URL"
        )
    else:
        console.print(f"v1 answers from {version.name} (engine {version.engine}).", markup=False)


def _recovered(console: Console, house: House) -> None:
    found = house.recovered
    if found.settled or found.crashed or found.lost:
        console.print(
            f"The last run ended suddenly: {found.settled} settled and {found.crashed} open "
            f"requests were recorded, {found.lost} of them charged in full."
        )
    for line in found.damaged:
        console.print(f"[red]{line}[/]")
