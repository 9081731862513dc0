"""`keyhall versions compare`: two versions asked the same, so that an upgrade is a decision."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import Where, options
from keyhall.cli.options import fail, load_config
from keyhall.cli.progress import Progress, shown
from keyhall.clock import SystemClock

AT_ONCE_MAX = 64
SEEDS_MAX = 100
FAILURES_SHOWN = 5
WHICH_KEY = (
    "Say which key asks and pays: in KEYHALL_API_KEY, or with --key. "
    "`keyhall keys create --name compare` makes one."
)


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--prompts", "path", metavar="FILE", required=True,
              type=click.Path(dir_okay=False, path_type=Path),
              help="One prompt a line, or lines of JSON with messages.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, SEEDS_MAX), default=3, show_default=True,
              help="How often each prompt is asked.")  # fmt: skip
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True,
              help="Of an answer.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1, AT_ONCE_MAX), default=2, show_default=True,
              help="Pairs under way; 1 for the calmest latency.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, writable=True, path_type=Path),
              metavar="FILE", help="Write a report to look at (HTML).")  # fmt: skip
@click.option("--url", help="The server's base address with /v1; without: that of the settings.")
@click.option("--key", help="Better in KEYHALL_API_KEY, where nobody else sees it.")
@options
def compare(
    first: str,
    second: str,
    path: Path,
    seeds: int,
    max_tokens: int,
    at_once: int,
    out: Path | None,
    url: str | None,
    key: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Ask two versions the same prompts, and show side by side what they answer.

    It asks the running server with a key, as your callers do, so latency is theirs and the key's
    organization is charged for the tokens. A and B are names that the key may call. Answers,
    tokens, latency, repetition, and how sure the differences are. An answer that does not come is
    shown, and spoils nothing else.
    """
    from keyhall.flows.compare import prompts, report
    from keyhall.flows.manage.checks import Invalid

    if first == second:
        raise click.UsageError("Name two versions; these are one.")
    config = load_config(where["data"], where["config"])
    try:
        asked = prompts.read(path)
    except Invalid as error:
        fail(str(error))
    key, url = _from(config.environ, key, url)
    if url is None:
        from keyhall.cli.serve import url_of

        url = url_of(config.server, config.server.port)
    # People give a server's address as they know it.
    if "/" not in url.rstrip("/").partition("://")[2]:
        url = f"{url.rstrip('/')}/v1"
    if out is not None and not out.parent.is_dir():
        fail(f"{out.parent} is no folder.")
    with shown(is_wanted=not as_json) as progress:
        pairs = asyncio.run(
            _asked(url, key, (first, second), asked, (seeds, max_tokens, at_once), progress)
        )
    when = f"{words.when(SystemClock().now_us())} UTC"
    found = report.Comparison((first, second), asked, pairs, seeds, max_tokens, at_once, url, when)
    if out is not None:
        _write(out, report.html(found))
    if as_json:
        show.as_json(json_of(found))
    else:
        describe(found, out)
    if not any(pair.is_whole for pair in pairs):
        sys.exit(1)


def _from(environ: Mapping[str, str], key: str | None, url: str | None) -> tuple[str, str | None]:
    """The key, and the address that belongs to it. OPENAI_API_KEY counts if it is one of
    Keyhall's, and OPENAI_BASE_URL with it: otherwise they name an upstream."""
    key = key or environ.get("KEYHALL_API_KEY")
    if key:
        return key, url
    theirs = environ.get("OPENAI_API_KEY", "")
    if not theirs.startswith("sk-kh_"):
        fail(WHICH_KEY)
    return theirs, url or environ.get("OPENAI_BASE_URL")


async def _asked(
    url: str,
    key: str,
    models: tuple[str, str],
    asked: list[Any],
    numbers: tuple[int, int, int],
    progress: Progress,
) -> list[Any]:
    from keyhall import tokenizers
    from keyhall.flows.compare import asking

    seeds, cap, at_once = numbers
    server = asking.Server(url, key)
    try:
        pairs = await asking.ask_both(
            server,
            models,
            asked,
            seeds=seeds,
            cap=cap,
            at_once=at_once,
            told=lambda done, total: progress("pairs of answers", done, total),
        )
    finally:
        await server.close()
    return asking.measured(pairs, tokenizers.load("o200k_base"))


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror or error}.")


def describe(found: Any, out: Path | None) -> None:
    """The summary for people."""
    from keyhall.flows.compare import report

    first, second = found.names
    for name, model in zip(found.names, found.models, strict=True):
        if model and model.partition(" ")[0] != name:
            show.line(f"{name} is {report.shown(model)}.")
    made = report.lines(found.pairs)
    if made:
        show.table(
            (
                "Measure",
                (first, "right"),
                (second, "right"),
                ("Difference", "right"),
                "95 % of it lies in",
                ("Lower / higher", "right"),
                f"{second} is",
            ),
            [
                (
                    line.measure.title.partition(":")[0],
                    line.first,
                    line.second,
                    line.difference,
                    line.between,
                    f"{line.paired.lower} / {line.paired.higher}",
                    line.verdict,
                )
                for line in made
            ],
        )
    count = f"{words.counted(len(found.prompts), 'prompt')}, {words.counted(found.seeds, 'seed')}"
    show.line(f"\n{count}; a prompt counts once, and the interval is a bootstrap over prompts.")
    for pair, name, problem in found.failures[:FAILURES_SHOWN]:
        show.line(
            f"No answer from {name} to prompt {pair.prompt + 1}, seed {pair.seed}: "
            f"{report.shown(problem)}"
        )
    more = len(found.failures) - FAILURES_SHOWN
    if more > 0:
        show.line(f"And {more} more that did not come.")
    if out is not None:
        show.line(f"The answers side by side: {out}")
    else:
        show.line("--out report.html writes the answers side by side, to look at.")


def json_of(found: Any) -> dict[str, Any]:
    from keyhall.policy.answers.comparison import MEASURES, summary, verdict

    paired = summary(found.pairs)
    return {
        "a": found.names[0],
        "b": found.names[1],
        "answered_by": list(found.models),
        "prompts": len(found.prompts),
        "seeds": found.seeds,
        "max_tokens": found.cap,
        "measures": {
            measure.name: asdict(paired[measure.name])
            | {"unit": measure.unit, "b_is": verdict(measure, paired[measure.name])}
            for measure in MEASURES
            if measure.name in paired
        },
        "failures": len(found.failures),
        "answers": [
            {
                "prompt": pair.prompt + 1,
                "seed": pair.seed,
                "a": asdict(replace(pair.first)),
                "b": asdict(replace(pair.second)),
            }
            for pair in found.pairs
        ],
    }
