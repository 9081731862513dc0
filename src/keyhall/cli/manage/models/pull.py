"""`keyhall models pull`: the one command that fetches something from a network."""

from pathlib import Path
from typing import Unpack

import click

from keyhall.cli.manage import show
from keyhall.cli.manage.models import adding, text
from keyhall.cli.manage.open import Where, options
from keyhall.cli.options import fail, load_config
from keyhall.cli.progress import shown
from keyhall.config import Config
from keyhall.flows.manage.checks import Refused
from keyhall.flows.models.choose import parse_repo
from keyhall.flows.models.pull import Hub, Offer

FOLDER = "models"  # in the data folder


@click.command()
@click.argument("repo")
@click.option("--file", "pattern", metavar="PATTERN", help="Which file: Q8_0, *Q5*, a whole name.  "
              "[Q4_K_M, or the only one]")  # fmt: skip
@click.option("--revision", help="Of the repository: a branch, a tag, a commit.  [main]")
@adding.run_options
@options
def pull(
    repo: str,
    pattern: str | None,
    revision: str | None,
    as_json: bool,
    where: Where,
    **asked: Unpack[adding.Asked],
) -> None:
    """Fetch a model from the Hugging Face hub, and add it. REPO is OWNER/NAME.

    \b
    keyhall models pull Qwen/Qwen3-0.6B-GGUF --name qwen3
    keyhall models pull Qwen/Qwen3-4B-GGUF --file Q5_K_M

    Goes on where an earlier try ended; what arrives is compared with the hub's
    checksum. HF_TOKEN opens what needs an account, HF_ENDPOINT names a mirror.
    """
    config = load_config(where["data"], where["config"])
    try:
        named, of_name = parse_repo(repo)
        path, offer = _fetched(config, named, pattern or of_name, revision, as_json=as_json)
    except Refused as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("Stopped. What arrived is kept: the same command goes on from there.")
    except OSError as error:
        fail(f"{error.filename or config.data}: {error.strerror or error}.")
    adding.add_file(path, asked, where, as_json=as_json, digest=offer.file.sha256)


def _fetched(
    config: Config, repo: str, pattern: str | None, revision: str | None, *, as_json: bool
) -> tuple[Path, Offer]:
    environ = config.environ
    with Hub(environ.get("HF_ENDPOINT"), environ.get("HF_TOKEN")) as hub:
        offer = hub.offer(repo, pattern, revision)
        if not as_json:
            licensed = f", license {offer.license}" if offer.license else ""
            show.line(f"{repo}: {offer.file.name}, {text.size(offer.file.size)}{licensed}")
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with shown(is_wanted=not as_json, is_bytes=True) as progress:
            return hub.fetch(offer, config.data / FOLDER, progress), offer
