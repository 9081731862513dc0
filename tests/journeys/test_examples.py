"""The programs in examples/ run as a user would run them, with the official client."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(
    server: Any, key: str, name: str, *arguments: str, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name), *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": key},
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_conversation_goes_on_until_an_empty_line(keyhall_server: Any) -> None:
    done = run(keyhall_server, keyhall_server.key, "chat.py", typed="Hello.\nAnd again.\n\n")
    assert done.stdout.count(" out)\n") == 2


def test_the_stream_ends_with_its_usage_and_the_version_that_answered(keyhall_server: Any) -> None:
    done = run(keyhall_server, keyhall_server.key, "stream.py", "Tell", "me", "something.")
    assert "answered by v1-sandbox-1" in done.stdout


def test_a_program_within_its_limits_never_waits(keyhall_server: Any) -> None:
    key = keyhall_server.make_key(name="small", tier="free-trial")["key"]
    done = run(keyhall_server, key, "retry_on_limit.py", "3")
    assert len(done.stdout.splitlines()) == 3


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{path.name}"' in text for path in EXAMPLES.glob("*.py"))
