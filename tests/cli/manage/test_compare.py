"""`keyhall versions compare`, against a server that runs."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from keyhall.cli import main


@pytest.fixture
def run(keyhall_server: Any, tmp_path, monkeypatch) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("What is a key?\nAnd a limit?\n")
    where = ["--config", str(keyhall_server.config), "--data", str(keyhall_server.data)]

    def run(*words: str, status: int = 0, **environ: str) -> str:
        given = ["versions", "compare", *words, *where]
        done = CliRunner().invoke(main, given, env=environ)
        assert done.exit_code == status, done.output
        return done.output

    return run


ASK = ("v1", "v1.1", "--prompts", "prompts.txt", "--seeds", "1", "--max-tokens", "6")


def test_it_prints_a_summary_and_writes_the_report(run, keyhall_server: Any, tmp_path) -> None:
    url = ("--url", keyhall_server.root_url, "--out", "report.html")  # `/v1` goes without saying.
    told = run(*ASK, *url, KEYHALL_API_KEY=keyhall_server.key)
    assert "v1 is v1-sandbox-1 (fp_" in told
    assert "Rep-4" in told
    assert "too few prompts" in told
    assert "2 prompts, 1 seed" in told
    page = (tmp_path / "report.html").read_text()
    assert "What is a key?" in page


def test_a_client_s_variables_are_enough_and_json_has_everything(run, keyhall_server: Any) -> None:
    environ = {"OPENAI_API_KEY": keyhall_server.key, "OPENAI_BASE_URL": keyhall_server.base_url}
    found = json.loads(run(*ASK, "--json", **environ))
    assert found["answered_by"][1].startswith("v1.1-sandbox-1 (fp_")
    assert found["measures"]["output_tokens"]["first"] == 6
    assert found["measures"]["rep_4"]["b_is"] == "too few prompts"
    assert [answer["prompt"] for answer in found["answers"]] == [1, 2]
    assert found["answers"][0]["a"]["text"]
    assert found["failures"] == 0


def test_failures_are_shown_and_all_of_them_are_a_failure(run, keyhall_server: Any) -> None:
    url = ("--url", keyhall_server.base_url, "--key", keyhall_server.key)
    told = run("v1", "none-such", *ASK[2:], *url, status=1)
    assert "No answer from none-such to prompt 1, seed 1: 404: " in told


def test_what_is_missing_is_said_before_anybody_is_asked(run, keyhall_server: Any) -> None:
    assert "KEYHALL_API_KEY" in run(*ASK, status=1)
    upstream = {"OPENAI_API_KEY": "sk-theirs", "OPENAI_BASE_URL": "https://api.openai.com/v1"}
    assert "Say which key" in run(*ASK, status=1, **upstream)
    key = {"KEYHALL_API_KEY": keyhall_server.key}
    assert "Name two versions" in run("v1", "v1", *ASK[2:], status=2, **key)
    assert "cannot be read" in run("v1", "v1.1", "--prompts", "none.txt", status=1, **key)
    assert "is no folder" in run(*ASK, "--out", "none/report.html", status=1, **key)
