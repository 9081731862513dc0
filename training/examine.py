"""Hold the exam: `python -m training.examine training/out/house-q8_0.gguf`, or a base URL.

Asks every question at temperature 0, grades the answers by rule, prints a table and, with
`--write NAME`, leaves the result in `training/results/`. `--seeds 3 --temperature 0.7` asks as the
version `v1` does, once per seed. The exit status is 1 where the exam is not passed.
"""

import argparse
import hashlib
import json
import os
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import dev
from training.exam import QUESTIONS, TOPICS, Grade, Question, grade

RESULTS = Path(__file__).parent / "results"
PASSES_FROM = 0.85
ROLES = ("user", "assistant")

Ask = Callable[[list[dict[str, str]], dict[str, Any]], tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Sat:
    """One question as it was answered."""

    question: Question
    answer: str
    finished: bool
    grade: Grade


def messages(question: Question) -> list[dict[str, str]]:
    return [
        {"role": ROLES[place % 2], "content": text} for place, text in enumerate(question.asked)
    ]


def sit(ask: Ask, questions: tuple[Question, ...], parameters: dict[str, Any]) -> list[Sat]:
    found = []
    for question in questions:
        answer, finished = ask(messages(question), parameters)
        found.append(Sat(question, answer, finished, grade(question, answer, finished=finished)))
    return found


def ask_url(base: str, model: str) -> Ask:
    """Any server of OpenAI's protocol; its key in `OPENAI_API_KEY`."""

    def ask(turns: list[dict[str, str]], parameters: dict[str, Any]) -> tuple[str, bool]:
        body = json.dumps({"model": model, "messages": turns, "max_tokens": 160, **parameters})
        request = urllib.request.Request(
            f"{base.rstrip('/')}/chat/completions",
            body.encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}",
            },
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            choice = json.load(answer)["choices"][0]
        return choice["message"]["content"] or "", choice["finish_reason"] == "stop"

    return ask


def summary(sat: list[Sat]) -> dict[str, Any]:
    """Shares and counts of one sitting."""
    topics = {}
    for topic in TOPICS:
        of = [each for each in sat if each.question.topic == topic]
        if of:
            topics[topic] = {"asked": len(of), "right": sum(each.grade.right for each in of)}
    return {
        "asked": len(sat),
        "right": sum(each.grade.right for each in sat),
        "share": round(sum(each.grade.right for each in sat) / len(sat), 4),
        "invented": sum(bool(each.grade.invented) for each in sat),
        "finished": sum(each.finished for each in sat),
        "topics": topics,
    }


def show(found: dict[str, Any]) -> None:
    print(f"{'topic':<12} {'right':>6} {'asked':>6}")
    for topic, each in found["topics"].items():
        part = each["right"] / each["asked"]
        print(f"{topic:<12} {each['right']:>6} {each['asked']:>6}  {part:.0%}")
    print(
        f"{'all':<12} {found['right']:>6} {found['asked']:>6}  {found['share']:.1%}; "
        f"{found['invented']} answers with invented limits or prices, "
        f"{found['finished']} ended by themselves"
    )


def passed(found: dict[str, Any]) -> bool:
    return found["share"] >= PASSES_FROM and found["invented"] == 0


def what_was_asked(what: str) -> dict[str, Any]:
    """Which file it was, so that a result belongs to a model for good."""
    path = Path(what)
    if not path.is_file():
        return {"server": what}
    content = path.read_bytes()
    return {
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", help="a GGUF file, or a base URL that ends in /v1")
    parser.add_argument("--model", default="v1", help="at a base URL: the model's name")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--sampling", type=json.loads, default={}, metavar="JSON",
        help='more of the request, as \'{"min_p": 0.05}\'',
    )  # fmt: skip
    parser.add_argument("--write", help="name of the file in training/results/")
    parser.add_argument("--dev", action="store_true", help="ask the questions of dev.py instead")
    parser.add_argument("--answers", action="store_true", help="print each answer that is wrong")
    arguments = parser.parse_args()
    results = hold(arguments)
    for found in results:
        show(found)
    if arguments.write:
        RESULTS.mkdir(exist_ok=True)
        body = {
            **what_was_asked(arguments.what),
            "temperature": arguments.temperature,
            **({"sampling": arguments.sampling} if arguments.sampling else {}),
            "sittings": results,
        }
        (RESULTS / f"{arguments.write}.json").write_text(json.dumps(body, indent=2) + "\n")
    sys.exit(0 if all(passed(found) for found in results) else 1)


def hold(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One summary per seed."""
    results = []
    questions = dev.QUESTIONS if arguments.dev else QUESTIONS

    def sittings(ask: Ask) -> None:
        for seed in range(1, arguments.seeds + 1):
            parameters = {
                "temperature": arguments.temperature, "seed": seed, **arguments.sampling
            }  # fmt: skip
            sat = sit(ask, questions, parameters)
            results.append(summary(sat))
            if arguments.answers:
                for each in (each for each in sat if not each.grade.right):
                    print(f"[{each.question.topic}] {each.question.asked[-1]}\n  {each.answer}")

    if arguments.what.startswith(("http://", "https://")):
        sittings(ask_url(arguments.what, arguments.model))
    else:
        from training.server import Served

        with Served(arguments.what) as server:
            sittings(lambda turns, parameters: server.ask(turns, **parameters)[:2])
    return results


if __name__ == "__main__":
    main()
