"""`keyhall models pull`: from a hub on loopback to a model that can be called."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hub_stub import Repo, a_hub
from model_files import make_model

from keyhall.cli.manage.models import pull


@pytest.fixture
def hub(keyhall, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))  # No token of whoever runs the tests.
    data = make_model(tmp_path / "made.gguf").read_bytes()
    with a_hub(org__tiny=Repo({"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data + b"\0"})) as found:
        keyhall.environment["HF_ENDPOINT"] = found.url
        keyhall.environment["HF_TOKEN"] = ""
        yield found


def test_a_repository_becomes_a_model_in_one_command(keyhall, hub) -> None:
    said = keyhall("models", "pull", "org/tiny")
    path = keyhall.data / "models" / "org--tiny" / "tiny-Q4_K_M.gguf"
    assert "org/tiny: tiny-Q4_K_M.gguf, 470 kB, license apache-2.0" in said
    assert f"File          {path}" in said
    assert "Added tiny, and its version tiny-1." in said
    said = keyhall("models", "remove", "tiny", "--use", "v1", "--delete-file")
    assert f"Deleted {path}" in said
    assert not path.exists()


def test_the_file_and_how_it_runs_can_be_chosen(keyhall, hub) -> None:
    found = keyhall.json("models", "pull", "org/tiny:Q8_0", "--name", "mine", "--slots", "2")
    assert found["path"].endswith("org--tiny/tiny-Q8_0.gguf")
    assert (found["name"], found["slots"], found["state"]) == ("mine", 2, "ok")
    assert keyhall.json("models", "pull", "org/tiny", "--file", "*q8*")["name"] == "tiny"


def test_what_goes_wrong_is_told_before_anything_is_added(keyhall, hub, monkeypatch) -> None:
    for repo, words in (
        ("org/nosuch", "has no repository org/nosuch"),
        ("tiny", "it is written OWNER/NAME"),
        ("org/tiny:Q2_K", "2 GGUF files; none of them matches 'Q2_K'"),
    ):
        assert words in keyhall.refused("models", "pull", repo)
    hub.repos["org/tiny"].gated = True
    assert "accepted its terms" in keyhall.refused("models", "pull", "org/tiny")
    hub.repos["org/tiny"].gated = False

    class Stopped(pull.Hub):
        def fetch(self, *_):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pull, "Hub", Stopped)
        said = keyhall.refused("models", "pull", "org/tiny")
    assert "Stopped. What arrived is kept" in said
    assert keyhall.json("models", "list") == []


def test_the_token_of_the_environment_is_used(keyhall, hub) -> None:
    hub.repos["org/tiny"].token = "hf_mine"
    assert "set HF_TOKEN" in keyhall.refused("models", "pull", "org/tiny")
    keyhall.environment["HF_TOKEN"] = "hf_mine"
    assert "hf_mine" not in keyhall("models", "pull", "org/tiny")
