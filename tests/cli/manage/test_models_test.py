"""`keyhall models test`: a real answer of a real model, or why there is none."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("xllamacpp", reason="what runs models is an extra")

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from model_files import make_model


@pytest.fixture
def tiny(keyhall, tmp_path):
    path = make_model(tmp_path / "tiny.gguf")
    keyhall("models", "add", str(path), "--context", "512", "--slots", "1", "--threads", "1")
    return path


def test_a_model_answers_with_timings(keyhall, tiny) -> None:
    said = keyhall("models", "test", "tiny")
    lines = [line.split() for line in said.splitlines()]
    assert [line[0] for line in lines[:3]] == ["Load", "First", "Whole"]
    assert all(line[-1] == "ms" for line in lines[:3])
    found = keyhall.json("engines", "test", "tiny")
    assert (found["is_well"], found["step"], found["model"]) == (True, "done", "tiny")
    assert "tested the engine" in keyhall("audit")


def test_attack24_a_file_that_was_exchanged_is_not_loaded(keyhall, tiny) -> None:
    data = bytearray(tiny.read_bytes())
    data[-1] ^= 1
    tiny.write_bytes(data)
    said = keyhall.refused("models", "test", "tiny")
    assert "is not the file that was added: its SHA-256 is another" in said
    assert "engine_ended" not in said
    assert "No model nosuch" in keyhall.refused("models", "test", "nosuch")
