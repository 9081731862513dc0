"""The header of a model file: read as its writer meant it, and no file can make the reader suffer
(attack 24)."""

import struct
import sys
import time
import tracemalloc
from pathlib import Path

import gguf as reference
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from model_files import MERGED, SPECIAL, TEMPLATE, make_model

from keyhall.engines.local import gguf
from keyhall.engines.local.gguf import NotGguf
from keyhall.engines.local.tensor_types import FILE_TYPES, TENSOR_TYPES

U32, TEXT, LIST, U64 = 4, 8, 9, 10


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def tensor(name, shape, kind=0, offset=0):
    head = text(name) + struct.pack("<I", len(shape))
    return head + struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset)


LLAMA = pair("general.architecture", TEXT, text("llama"))


def file_of(pairs=(LLAMA,), tensors=(), *, version=3, counts=None, data=b""):
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count)
    made = head + b"".join(pairs) + b"".join(tensors)
    return made + bytes(-len(made) % 32) + data


def read(data):
    return gguf.read(data, len(data))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny.gguf").read_bytes()


# --- What is said ---------------------------------------------------------------------------------


def test_what_a_file_says_is_read_as_its_writer_meant_it(tiny) -> None:
    found = read(tiny)
    assert (found.version, found.architecture, found.name) == (3, "llama", "Tiny Test")
    assert (found.license, found.kind, found.parts) == ("apache-2.0", "model", 1)
    assert (found.context, found.template, found.tokenizer) == (2048, TEMPLATE, "gpt2")
    assert found.vocabulary == 256 + len(MERGED) + len(SPECIAL)
    assert found.expected_size == len(tiny)
    assert (found.quantization, found.bits_per_weight) == ("F32", 32)
    # Two layers, four heads of 16 numbers for keys and values, two bytes each.
    assert found.kv_bytes_per_token == 2 * 4 * 16 * 2 * 2


def test_our_reader_counts_what_the_writers_own_reader_counts(tiny, tmp_path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny)
    theirs = reference.GGUFReader(path)
    found = read(tiny)
    assert found.parameters == sum(int(each.n_elements) for each in theirs.tensors)
    assert found.tensor_bytes == sum(int(each.n_bytes) for each in theirs.tensors)


def test_the_types_of_tensors_are_those_of_the_writers_library() -> None:
    sizes = {int(kind): (kind.name, *size) for kind, size in reference.GGML_QUANT_SIZES.items()}
    assert dict(TENSOR_TYPES) == sizes
    names = {
        int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        for kind in reference.LlamaFileType
        if kind is not reference.LlamaFileType.GUESSED
    }
    assert dict(FILE_TYPES) == names


def test_a_file_without_template_name_and_context_says_so() -> None:
    found = read(file_of())
    assert (found.template, found.name, found.context, found.parameters) == ("", "", 0, 0)
    assert (found.quantization, found.bits_per_weight, found.kv_bytes_per_token) == ("none", 0, 0)


def test_heads_may_differ_from_layer_to_layer() -> None:
    heads = struct.pack("<IQ4I", U32, 4, 2, 0, 1, 1)
    pairs = [
        LLAMA,
        pair("llama.block_count", U32, struct.pack("<I", 4)),
        pair("llama.attention.head_count", U32, struct.pack("<I", 8)),
        pair("llama.attention.head_count_kv", LIST, heads),
        pair("llama.attention.key_length", U32, struct.pack("<I", 64)),
        pair("llama.attention.value_length", U32, struct.pack("<I", 32)),
    ]
    assert read(file_of(pairs)).kv_bytes_per_token == (2 + 1 + 1) * (64 + 32) * 2


def test_without_a_name_for_the_mixture_the_most_frequent_type_names_it() -> None:
    tensors = [tensor("a", [256, 4], 12), tensor("b", [8], 0, 576)]
    assert read(file_of(tensors=tensors, data=bytes(576 + 32))).quantization == "Q4_K"
    unknown = [tensor("a", [256, 4], 999)]
    found = read(file_of(tensors=unknown))
    assert (found.quantization, found.parameters) == ("type 999", 1024)


def test_what_is_shown_cannot_move_a_cursor_or_hide() -> None:
    name = "Good\x1b[2J\u202emodel\n" + "x" * 500
    found = read(file_of([LLAMA, pair("general.name", TEXT, text(name))]))
    assert found.name.isprintable()
    assert found.name.startswith("Good [2J model")
    assert len(found.name) == gguf.SHOWN_CHARACTERS


def test_the_first_64_mib_are_enough_of_a_large_file(tiny) -> None:
    assert gguf.read(tiny[: len(tiny) // 2], len(tiny)).expected_size == len(tiny)


def test_a_file_that_was_not_copied_whole_is_told_by_its_size(tiny) -> None:
    found = gguf.read(tiny[:-100], len(tiny) - 100)
    assert found.expected_size == len(tiny)


# --- What cannot be -------------------------------------------------------------------------------

HUGE = (1 << 64) - 1
REFUSED = {
    "empty": (b"", "ends within its header"),
    "no model": (b"PK\x03\x04" + bytes(100), "does not begin as a GGUF file does"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "version 1": (file_of(version=1), "of version 1"),
    "version 4": (file_of(version=4), "of version 4"),
    "many tensors": (file_of(counts=(HUGE, 0)), "18,446,744,073,709,551,615 tensors"),
    "many values": (file_of(counts=(0, HUGE)), "18,446,744,073,709,551,615 values"),
    "fewer values than said": (file_of(counts=(0, 4_000)), "says '' twice"),
    "long key": (file_of([struct.pack("<Q", HUGE)]), "a key of 18,446"),
    "long text": (file_of([text("k") + struct.pack("<IQ", TEXT, HUGE)]), "ends within"),
    "long list": (file_of([text("k") + struct.pack("<IIQ", LIST, U64, HUGE)]), "ends within"),
    "long list of texts": (
        file_of([text("k") + struct.pack("<IIQ", LIST, TEXT, HUGE)]),
        "lists of more than 2,000,000 texts",
    ),
    "a list of lists": (
        file_of([text("k") + struct.pack("<IIQ", LIST, LIST, 1)]),
        "a list of lists",
    ),
    "unknown type": (file_of([text("k") + struct.pack("<I", 13)]), "unknown type, 13"),
    "list of unknown type": (
        file_of([text("k") + struct.pack("<IIQ", LIST, 77, 1)]),
        "unknown type, 77",
    ),
    "a key twice": (file_of([LLAMA, LLAMA]), "says 'general.architecture' twice"),
    "no architecture": (file_of([]), "does not say which architecture"),
    "a path as architecture": (
        file_of([pair("general.architecture", TEXT, text("../../x"))]),
        "does not say which architecture",
    ),
    "a number as architecture": (
        file_of([pair("general.architecture", U32, struct.pack("<I", 1))]),
        "does not say which architecture",
    ),
    "alignment of nothing": (
        file_of([LLAMA, pair("general.alignment", U32, struct.pack("<I", 0))]),
        "aligned to 0 bytes",
    ),
    "odd alignment": (
        file_of([LLAMA, pair("general.alignment", U32, struct.pack("<I", 48))]),
        "aligned to 48 bytes",
    ),
    "five dimensions": (file_of(tensors=[tensor("a", [1] * 5)]), "of 5 dimensions"),
    "sizes that overflow": (file_of(tensors=[tensor("a", [1 << 33, 1 << 33])]), "too large"),
    "a size that wraps to zero": (
        file_of(tensors=[tensor("a", [1 << 32, 1 << 32, 0])]),
        "too large",
    ),
    "offset that overflows": (file_of(tensors=[tensor("a", [1], 0, HUGE - 31)]), "where none can"),
    "offset between": (file_of(tensors=[tensor("a", [1], 0, 7)]), "where none can"),
    "half a block": (file_of(tensors=[tensor("a", [31, 32], 2)]), "no whole blocks"),
    "a tensor twice": (file_of(tensors=[tensor("a", [1])] * 2), "two tensors a"),
    "a tensor's long name": (file_of(tensors=[tensor("a" * 64, [1])]), "tensor's name of 64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_attack24_a_file_that_cannot_be_is_refused_with_its_reason(name) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(NotGguf, match=reason):
        read(data)


def peak_of(data, size):
    """Bytes that were asked for at the most."""
    tracemalloc.start()
    try:
        gguf.read(data, size)
    except NotGguf:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_attack24_no_number_in_a_file_makes_the_reader_allocate(tiny) -> None:
    """Numbers in a good file become enormous in turn."""
    for place in [*range(4, 120), *range(120, 12_000, 97)]:
        for number in (HUGE, 1 << 40, 1 << 31):
            spoiled = tiny[:place] + struct.pack("<Q", number) + tiny[place + 8 : 14_000]
            assert peak_of(spoiled, len(tiny)) < 60_000, (place, number)


def said_of(data, size):
    """What a person is told of the file."""
    try:
        found = gguf.read(data, size)
    except NotGguf as error:
        return str(error)
    return f"{found.name}{found.license}{found.quantization}{found.kind}{found.expected_size}"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_attack24_a_good_file_with_any_bytes_changed_is_read_or_refused(tiny, data) -> None:
    spoiled = bytearray(tiny[:20_000])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(spoiled) - 1))
        spoiled[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(spoiled)))
    assert said_of(bytes(spoiled[:cut]), data.draw(st.sampled_from([cut, len(tiny)]))).isprintable()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 1 << 64))
@example(b"", 0)
def test_attack24_bytes_of_chance_are_refused(tail, size) -> None:
    for data in (tail, b"GGUF" + struct.pack("<IQQ", 3, 2, 2) + tail):
        assert said_of(data, size).isprintable()


def test_attack24_the_longest_lists_that_are_allowed_take_a_second() -> None:
    empty = struct.pack("<IIQ", LIST, TEXT, gguf.STRINGS_MAX) + bytes(8 * gguf.STRINGS_MAX)
    many = [pair(f"k{number}", U32, bytes(4)) for number in range(gguf.METADATA_MAX - 2)]
    data = file_of([LLAMA, text("tokenizer.ggml.tokens") + empty, *many])
    began = time.process_time()
    assert read(data).architecture == "llama"
    assert time.process_time() - began < 2  # 0.3 on a quiet machine
