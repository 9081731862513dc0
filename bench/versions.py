"""Does one version repeat itself less than another? Fixed prompts, several seeds, long answers.

    python bench/versions.py --url http://127.0.0.1:8484/v1 --key-file key.txt v1 v1.1

The key is the content of `--key-file`, or none; any server of OpenAI's protocol and any two model
names will do. It measures with the same functions as `keyhall versions compare`, on prompts that
never change, so that two runs can be compared. The prompts ask for long answers of the kinds that
small models get lost in: stories, lists, explanations, dialogues.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

import report as results

from keyhall import tokenizers
from keyhall.flows.compare import asking, report
from keyhall.policy.answers.comparison import Pair, summary

PROMPTS = (
    "Tell me a long story about a lighthouse keeper who loses his keys.",
    "Explain to a child, at length, what a token is.",
    "Write a diary of ten days at sea.",
    "Describe how bread is made, step by step, and why each step matters.",
    "Write a long letter to a friend about moving to another town.",
    "What is a rate limit? Explain it, give examples, and say what to do about it.",
    "Write a dialogue between a teacher and a student about why the sky is blue.",
    "List twenty things to do on a rainy day, with a sentence on each.",
    "Tell the history of a village from its first house to today.",
    "Explain how an API key is kept safe, and what to do when it is lost.",
    "Describe a market in the morning, at noon and in the evening.",
    "Write instructions for somebody who waters my plants for a month.",
    "Compare trains, buses and bicycles at length.",
    "Write a speech for the opening of a library.",
    "What happens, from beginning to end, when somebody sends a message to a chat model?",
    "Tell a fairy tale in which nothing is what it seems.",
    "Describe the four seasons in a garden.",
    "Explain the difference between a version and an alias, with several examples.",
    "Write a report on a day of work in an office that has run out of coffee.",
    "Give advice to somebody who begins to learn an instrument.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs=2, metavar="MODEL")
    parser.add_argument("--url", default="http://127.0.0.1:8484/v1", help="base address, with /v1")
    parser.add_argument("--key-file", type=Path, help="a file with the key that asks, and pays")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=800)
    parser.add_argument("--at-once", type=int, default=2, help="pairs under way")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), help="only the first so many")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument(
        "--write", metavar="OF WHAT", help="put them into RESULTS.md and .json, said so"
    )
    parser.add_argument("--out", type=Path, help="write the report as well (HTML)")
    given = parser.parse_args()
    prompts = [[{"role": "user", "content": text}] for text in PROMPTS[: given.prompts]]
    pairs = asyncio.run(asked(given, prompts))
    first, second = given.models
    if given.out:
        found = report.Comparison(
            (first, second), prompts, pairs, given.seeds, given.max_tokens, given.at_once,
            given.url, "by bench/versions.py",
        )  # fmt: skip
        given.out.write_text(report.html(found), encoding="utf-8", errors="replace")
    if given.json:
        print(json.dumps({name: asdict(paired) for name, paired in summary(pairs).items()}))
    else:
        print("\n".join(shown(pairs, first, second)))
    if given.write:
        said = (
            f"`bench/versions.py` on {given.write}: {len(prompts)} prompts, {given.seeds} seeds, "
            f"answers of at most {given.max_tokens} tokens."
        )
        results.publish_section(f"{first} and {second}", [said, "", *shown(pairs, first, second)])
    sys.exit(not any(pair.is_whole for pair in pairs))


async def asked(given: argparse.Namespace, prompts: list[asking.Messages]) -> list[Pair]:
    key = given.key_file.read_text(encoding="utf-8").strip() if given.key_file else ""
    server = asking.Server(given.url, key)

    def told(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {total} pairs ", end="", file=sys.stderr, flush=True)

    try:
        pairs = await asking.ask_both(
            server, tuple(given.models), prompts,
            seeds=given.seeds, cap=given.max_tokens, at_once=given.at_once, told=told,
        )  # fmt: skip
    finally:
        await server.close()
    return asking.measured(pairs, tokenizers.load("o200k_base"))


def shown(pairs: list[Pair], first: str, second: str) -> list[str]:
    """A table in Markdown."""
    table = [
        f"| measure | {first} | {second} | difference | relative | 95 % of it | {second} is |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in report.lines(pairs):
        base = line.paired.first
        relative = f"{line.paired.difference / base:+.0%}" if base else "-"
        cells = (line.measure.title.partition(":")[0], line.first, line.second, line.difference,
                 relative, line.between or "-", line.verdict)  # fmt: skip
        table.append(f"| {' | '.join(cells)} |")
    failed = [answer.problem for pair in pairs for answer in (pair.first, pair.second)
              if answer.problem]  # fmt: skip
    if failed:
        first_of_them = report.shown(failed[0])
        table += ["", f"{len(failed)} answers did not come; the first: {first_of_them}"]
    return table


if __name__ == "__main__":
    main()
