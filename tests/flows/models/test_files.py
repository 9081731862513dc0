"""Model files are looked at before they are trusted, and again later."""

import hashlib
import os
from dataclasses import replace

import pytest
from model_files import make_model

from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.models import files, memory
from keyhall.ports.records import ModelRecord


def quiet(_what, _done, _total):
    pass


def record(path, **changes):
    data = path.read_bytes()
    made = ModelRecord(
        name="tiny",
        path=str(path),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        architecture="llama",
        parameters=1,
        context=2048,
        has_template=True,
        slots=4,
        slot_context=2048,
        threads=None,
        shares_prefixes=False,
        created_at_us=os.stat(path).st_mtime_ns // 1_000 + 1,
    )
    return replace(made, **changes)


def test_a_file_is_known_by_its_real_path_its_size_and_its_hash(model_file, tmp_path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(model_file.name)
    told = []
    seen, digest = files.look_and_hash(link, lambda *facts: told.append(facts))
    assert seen.path == model_file
    assert seen.size == model_file.stat().st_size
    assert digest == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert told[-1] == ("Reading", seen.size, seen.size)
    assert files.hash_of(model_file, quiet) == digest


def spoiled(folder, change):
    path = make_model(folder / "spoiled.gguf")
    path.write_bytes(change(path.read_bytes()))
    return path


def test_a_file_that_was_not_copied_whole_is_refused_with_both_sizes(tmp_path) -> None:
    path = spoiled(tmp_path, lambda data: data[:-32])
    with pytest.raises(Invalid, match=r"not whole: it has [\d,]+ of at least [\d,]+ bytes"):
        files.look(path)


def test_what_cannot_be_a_model_is_refused_with_what_to_do(tmp_path) -> None:
    text = tmp_path / "text.gguf"
    text.write_text("Once upon a time.")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, kind, sentence in (
        (tmp_path / "nosuch", NotFound, "There is no file"),
        (tmp_path, Invalid, "is a folder: name the GGUF file itself"),
        (pipe, Invalid, "is not a file"),
        (loop, Invalid, "cannot be read"),
        (text, Invalid, "does not begin as a GGUF file does"),
        (
            make_model(tmp_path / "a", kind="adapter"),
            Invalid,
            "no model on its own: its type is adapter",
        ),
        (make_model(tmp_path / "b", architecture="nomic-bert"), Invalid, "writes no answers"),
        (make_model(tmp_path / "c", split__count=3), Invalid, "one of 3 parts"),
    ):
        with pytest.raises(kind, match=sentence):
            files.look(path)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Qwen3-0.6B-Q4_K_M.gguf", "qwen3-0-6b"),
        ("Llama-3.2-1B-Instruct-UD-IQ2_XXS.gguf", "llama-3-2-1b-instruct"),
        ("gemma-3-270m-it-F16.gguf", "gemma-3-270m-it"),
        ("SmolLM2.q8_0.gguf", "smollm2"),
        ("m\u00f6del.gguf", "m-del"),
        ("\u6a21\u578b.gguf", "model"),
        ("x" * 80 + ".gguf", "x" * 40),
    ],
)
def test_without_a_name_the_files_name_is_one_that_callers_can_type(tmp_path, file, name) -> None:
    assert files.name_for(tmp_path / file) == name


def test_how_a_file_does_is_told_without_reading_it(model_file, tmp_path) -> None:
    model = record(model_file)
    assert files.state_of(model) == "ok"
    assert files.state_of(replace(model, created_at_us=1)) == "touched"
    assert files.state_of(replace(model, size=1)) == "changed"
    assert files.state_of(replace(model, path=str(tmp_path))) == "changed"
    assert files.state_of(replace(model, path=str(tmp_path / "nosuch"))) == "missing"
    assert files.state_of(replace(model, path=str(model_file / "below"))) == "missing"


def test_only_what_was_pulled_is_deleted(model_file, tmp_path) -> None:
    folder = tmp_path / "models"
    pulled = folder / "org--repo" / "model.gguf"
    pulled.parent.mkdir(parents=True)
    pulled.write_bytes(b"x")
    with pytest.raises(Invalid, match="was not pulled"):
        files.delete(model_file, folder)
    with pytest.raises(Invalid, match="was not pulled"):
        files.delete(tmp_path / "models-of-mine", folder)
    files.delete(pulled, folder)
    assert not pulled.parent.exists()
    assert folder.exists()
    assert model_file.exists()


def test_memory_is_the_file_the_conversations_and_the_work(model_file) -> None:
    seen = files.look(model_file)
    needs = memory.needed(seen.header, seen.size, slots=4, slot_context=1000)
    assert needs.weights == seen.size
    assert needs.cache == 4 * 1000 * 512
    assert needs.total == needs.weights + needs.cache + needs.work
    assert memory.of_machine() > 1 << 28
