"""docs/asvs.md: every requirement has one row, every test that a row names exists; and what several
rows lean on: where cryptography is used, and that nothing runs what came from elsewhere.
"""

import ast
import csv
import os
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "keyhall"
TEXT = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (V\d[^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| (.*) \|$", re.MULTILINE)
ROWS = ROW.findall(TEXT)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))
VERDICTS = ("test", "design", "not ours", "open")
WORDS_MAX = 10
CORPORA = os.environ.get("KEYHALL_CORPORA")

# The levels of ASVS 5.0.0, section by section, a digit for each requirement.
LEVELS = (
    "1.1:22 1.2:1111122223 1.3:112222222223 1.4:222 1.5:123 2.1:122 2.2:112 2.3:12223 2.4:23 "
    "3.1:3 3.2:113 3.3:12223 3.4:11222233 3.5:11122333 3.6:3 3.7:22333 4.1:12233 4.2:23333 "
    "4.3:22 4.4:1222 5.1:2 5.2:112333 5.3:113 5.4:222 6.1:122 6.2:111111112222 6.3:11223333 "
    "6.4:112233 6.5:22222333 6.6:2223 6.7:33 6.8:2222 7.1:222 7.2:1111 7.3:22 7.4:11222 7.5:223 "
    "7.6:22 8.1:1233 8.2:1123 8.3:133 8.4:23 9.1:111 9.2:1222 10.1:22 10.2:223 10.3:22223 "
    "10.4:1111122222233333 10.5:22222 10.6:22 10.7:222 11.1:2233 11.2:22233 11.3:11233 "
    "11.4:1222 11.5:23 11.6:23 11.7:33 12.1:12233 12.2:11 12.3:22223 13.1:2333 13.2:222223 "
    "13.3:2233 13.4:1222233 14.1:22 14.2:12223333 14.3:122 15.1:12233 15.2:12233 15.3:1222222 "
    "15.4:3333 16.1:2 16.2:22222 16.3:2222 16.4:222 16.5:2223 17.1:23 17.2:22223333 17.3:22"
)


def levels() -> dict[str, str]:
    """The level of each requirement."""
    sections = (section.split(":") for section in LEVELS.split())
    return {
        f"V{name}.{number}": level
        for name, digits in sections
        for number, level in enumerate(digits, 1)
    }


def test_every_requirement_of_levels_1_and_2_has_one_row() -> None:
    listed = [name for ids, *_ in ROWS for name in ids.split(", ")]
    assert listed == [name for name, level in levels().items() if level in "12"]


@pytest.mark.skipif(not CORPORA, reason="KEYHALL_CORPORA is not set: the standard was not read")
def test_the_levels_are_those_of_the_standard() -> None:
    with (Path(CORPORA or "") / "asvs-5.0.csv").open(encoding="utf-8-sig") as file:
        assert {row["req_id"]: row["L"] for row in csv.DictReader(file)} == levels()


def test_a_row_says_what_its_verdict_needs() -> None:
    known = levels()
    for ids, level, asks, verdict, by in ROWS:
        assert level == ", ".join(sorted({known[name] for name in ids.split(", ")})), ids
        assert len(asks.split()) <= WORDS_MAX, ids
        assert verdict in VERDICTS, ids
        assert ("`tests/" in by) is (verdict in ("test", "design")) or verdict == "not ours", ids
        assert by.strip(), ids
        for place in re.findall(r"`(src/[\w/.]+)`", by):
            assert (ROOT / place).exists(), place
        if verdict == "design":
            assert "`src/" in by or "the table above" in by, ids


def test_the_counts_are_those_of_the_rows() -> None:
    known = levels()
    counted = Counter(
        (known[name], verdict) for ids, _, _, verdict, _ in ROWS for name in ids.split(", ")
    )
    for level in "12":
        cells = [str(counted[level, verdict]) for verdict in VERDICTS]
        assert f"| {level} | {' | '.join(cells)} |" in TEXT
    still = [
        name
        for ids, _, _, verdict, _ in ROWS
        for name in ids.split(", ")
        if verdict == "open" and known[name] == "1"
    ]
    assert f"What is open at level 1: {', '.join(still)}." in TEXT


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    path, _, test = name.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {test or 'test_'}", text, re.MULTILINE), name


# --- What rows lean on ----------------------------------------------------------------------------

CRYPTOGRAPHY = {"hmac", "hashlib", "ssl", "cryptography", "argon2", "pyotp"}
RUNS = {"eval", "exec", "compile", "__import__"}
RUNS_METHODS = {"from_string", "system", "popen", "md5", "sha1", "new"}
RUNS_MODULES = {"pickle", "marshal", "shelve", "subprocess", "yaml", "xml", "lxml", "ctypes"}
# How a process gives up what it may do, which Python has no words for.
ALLOWED_MODULES = {"engines/local/confine.py": {"ctypes"}}
ALLOWED = {("counters/redis/scripts.py", "hashlib.sha1")}  # how Redis names a script


def modules() -> list[tuple[str, ast.Module]]:
    return [
        (path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
    ]


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_use_of_cryptography_is_in_the_table() -> None:
    section = TEXT.partition("## Cryptography in use")[2].partition("\n## ")[0]
    told = set(re.findall(r"`([\w/]+\.py)`", section))
    users = {name for name, tree in modules() if imported(tree) & CRYPTOGRAPHY}
    assert users <= told
    assert all((SOURCE / name).exists() for name in told)


def test_nothing_runs_what_came_from_elsewhere() -> None:
    """No code of strings, no shell, no pickles, no XML, no templates but those of files; and no
    hash that is broken."""
    for name, tree in modules():
        assert not imported(tree) & RUNS_MODULES - ALLOWED_MODULES.get(name, set()), name
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if isinstance(node.func, ast.Name):
                assert called not in RUNS, (name, node.lineno)
            elif called.rpartition(".")[2] in RUNS_METHODS - {"new"}:
                assert (name, called) in ALLOWED, (name, node.lineno)
            assert called not in ("asyncio.create_subprocess_shell", "hashlib.new"), name
            assert not any(word.arg == "shell" for word in node.keywords), (name, node.lineno)


def test_statements_are_written_by_hand_nowhere_with_what_came_from_elsewhere() -> None:
    """What is given to `text()` is a constant, or made of names and numbers of our own."""
    for name, tree in modules():
        if not name.startswith("stores/"):
            assert "sqlalchemy.text" not in ast.unparse(tree), name
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("text", "sqlalchemy.text"):
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.FormattedValue):
                        assert ast.unparse(part.value).isupper(), (name, node.lineno)
