"""`keyhall models`: what people read when they add, look at and remove models in files."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from model_files import make_model

from keyhall.engines.local import process
from keyhall.flows.models import memory


@pytest.fixture
def model_file(tmp_path):
    return make_model(tmp_path / "Tiny-Test-Q4_K_M.gguf")


def test_a_file_is_shown_added_and_told_how_to_be_called(keyhall, model_file) -> None:
    said = keyhall("models", "add", str(model_file))
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    for words in (
        f"File          {model_file} (470 kB)",
        "Says          Tiny Test",
        "Architecture  llama",
        "Parameters    115,904",
        "Quantization  F32, 32.0 bits a weight",
        "Context       2,048 tokens trained",
        "Template      yes",
        "License       apache-2.0",
        "Runs with     4 slots of 2,048 tokens",
        "Memory        about ",
        f"SHA-256       {digest}",
        "Added tiny-test, and its version tiny-test-1.",
        '"model": "tiny-test"',
        "v1 and keyhall-v1 now mean v1-tiny-test-1 (before: v1-sandbox-1).",
    ):
        assert words in said
    assert "added the model" in keyhall("audit")
    assert "v1 now means tiny-test-1" in keyhall("aliases", "move", "v1", "tiny-test")


def test_how_it_runs_is_the_operators_choice(keyhall, model_file) -> None:
    found = keyhall.json(
        *("models", "add", str(model_file), "--name", "mine", "--slots", "2", "--context", "512"),
        *("--threads", "3", "--share-prefixes"),
    )
    assert (found["name"], found["alias"], found["versions"]) == ("mine", "mine", ["mine-1"])
    assert (found["slots"], found["slot_context"], found["threads"]) == (2, 512, 3)
    assert found["shares_prefixes"] is True
    version = keyhall.json("versions", "show", "mine")
    assert (version["max_input_tokens"], version["max_output_tokens"]) == (384, 128)
    assert (version["tokenizer"], version["count"]) == ("engine", "exact")
    assert version["price_micro_per_million"] == {"input": 0, "output": 0}


def test_a_model_without_a_context_of_its_own_gets_4096_tokens(keyhall, tmp_path) -> None:
    path = make_model(tmp_path / "long.gguf", context=131_072, template=None)
    said = keyhall("models", "add", str(path))
    assert "4 slots of 4,096 tokens" in said
    assert "Template      no: a general form is used" in said


def test_what_was_added_is_listed_and_shown_with_how_its_file_does(keyhall, model_file) -> None:
    assert "No models yet" in keyhall("models", "list")
    keyhall("models", "add", str(model_file))
    assert keyhall("models", "list").splitlines()[1].split() == [
        *("tiny-test", str(model_file), "470", "kB", "llama", "2,048", "4"),
        *("tiny-test-1,", "v1-tiny-test-1,", "v1.1-tiny-test-1", "ok"),
    ]
    said = keyhall("models", "show", "tiny-test", "--verify")
    assert "State         ok" in said
    assert "Prefix cache  none: nothing is kept of prompts" in said
    assert "SHA-256 is still the one that was pinned" in said
    model_file.rename(model_file.with_suffix(".away"))
    assert "file missing" in keyhall("models", "list")
    said = keyhall("models", "show", "tiny-test")
    assert "Put it back, or remove the model" in said
    assert [each["state"] for each in keyhall.json("models", "list")] == ["missing"]
    assert "No model nosuch" in keyhall.refused("models", "show", "nosuch")


def test_attack24_bytes_that_changed_under_the_same_size_are_found(keyhall, model_file) -> None:
    keyhall("models", "add", str(model_file))
    data = bytearray(model_file.read_bytes())
    data[-1] ^= 1
    model_file.write_bytes(data)
    later_ns = model_file.stat().st_mtime_ns + 10**10
    os.utime(model_file, ns=(later_ns, later_ns))
    assert "touched" in keyhall("models", "list")
    assert "--verify" in keyhall("models", "show", "tiny-test")
    said = keyhall.refused("models", "show", "tiny-test", "--verify")
    assert "State         changed" in said
    assert "put the old one back" in said


def test_a_machine_that_is_too_small_is_told_before_and_may_be_overruled(
    keyhall, model_file, monkeypatch
) -> None:
    monkeypatch.setattr(memory, "of_machine", lambda: 10**8)
    many = ("models", "add", str(model_file), "--slots", "64")
    said = keyhall.refused(*many)
    assert "and this machine has 100 MB: give it fewer --slots" in said
    assert "--yes adds it anyway" in said
    assert keyhall.json("models", "list") == []
    assert "Added tiny-test" in keyhall(*many, "--yes")


def test_what_cannot_be_added_is_one_sentence(keyhall, model_file, tmp_path) -> None:
    keyhall("models", "add", str(model_file))
    again = keyhall.refused("models", "add", str(model_file))
    assert "`keyhall models remove tiny-test` first" in again
    assert "Traceback" not in again
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model_file.read_bytes()[:1000])
    for path, words in (
        (broken, "ends within its header: it was not copied whole"),
        (tmp_path, "is a folder: name the GGUF file itself"),
        (tmp_path / "nosuch", "There is no file"),
    ):
        assert words in keyhall.refused("models", "add", str(path), "--name", "other")


def test_a_model_is_removed_with_what_needs_it(keyhall, model_file) -> None:
    keyhall("models", "add", str(model_file))
    keyhall("aliases", "move", "v1.1", "tiny-test")
    assert "tiny-test-1 would have no engine" in keyhall.refused("models", "remove", "tiny-test")
    said = keyhall.refused("models", "remove", "tiny-test", "--use", "v1", "--delete-file")
    assert "was not pulled, so it is yours to delete" in said
    said = keyhall("models", "remove", "tiny-test", "--use", "v1")
    assert "Retired tiny-test-1, v1-tiny-test-1, v1.1-tiny-test-1: callers are told" in said
    assert "That holds for tiny-test, v1.1 too" in said
    assert f"Its file stays: {model_file}" in said
    assert model_file.exists()
    assert "models" not in keyhall("engines", "list")


def test_what_was_pulled_is_deleted_on_request_and_not_while_another_needs_it(
    keyhall, model_file
) -> None:
    pulled = keyhall.data / "models" / "org--repo" / "tiny.gguf"
    pulled.parent.mkdir(parents=True)
    model_file.rename(pulled)
    for name in ("one", "two"):
        keyhall("models", "add", str(pulled), "--name", name)
    said = keyhall("models", "remove", "one", "--use", "v1", "--delete-file")
    assert "Another model is in the same file" in said
    assert pulled.exists()
    found = keyhall.json("models", "remove", "two", "--use", "v1", "--delete-file")
    assert found["file_deleted"] is True
    assert not pulled.parent.exists()


def test_models_are_among_the_engines_and_are_told_apart(keyhall, model_file) -> None:
    keyhall("models", "add", str(model_file))
    assert f"this machine, {model_file}" in keyhall("engines", "list")
    assert keyhall.json("engines", "list")[-1]["kind"] == "local"
    assert "`keyhall models remove tiny-test`" in keyhall.refused("engines", "remove", "tiny-test")


def test_a_first_model_prepares_a_folder_that_no_server_has_seen(fresh_keyhall, model_file) -> None:
    assert "Added tiny-test" in fresh_keyhall("models", "add", str(model_file))
    assert json.loads(fresh_keyhall("models", "list", "--json"))[0]["name"] == "tiny-test"


def test_without_its_engine_installed_that_is_told(keyhall, model_file, monkeypatch) -> None:
    monkeypatch.setattr(process, "can_run", lambda: False)
    assert "pip install 'keyhall[local]'" in keyhall("models", "add", str(model_file))


def test_another_version_of_a_model_needs_only_what_differs(keyhall, model_file) -> None:
    keyhall("models", "add", str(model_file))
    keyhall("versions", "add", "calm-1", "--engine", "tiny-test", "--presence-penalty", "0.5")
    found = keyhall.json("versions", "show", "calm-1")
    counted = (found["engine_model"], found["tokenizer"], found["count"])
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert counted == (f"tiny-test@{digest[:12]}", "engine", "exact")
    assert (found["max_input_tokens"], found["max_output_tokens"]) == (1536, 512)
    assert "calm-1" in keyhall("models", "list")
    said = keyhall.refused("versions", "add", "x-1", "--engine", "sandbox", status=2)
    assert "--engine-model MODEL" in said
