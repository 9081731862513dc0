"""What a model file says of itself: the header of a GGUF file, read with distrust (attack 24).

A GGUF file is magic, version and two counts; then metadata, each a key, a type and a value; then
what tensors there are; then, aligned, their bytes. All numbers are little-endian.

The reader is a function of the file's first bytes and its size. It never trusts a number of the
file: a length or a count is compared with the bytes that are left before anything is done with it,
so nothing is made larger than what was handed in; lists in lists are refused, as llama.cpp does;
of values it keeps what is asked of it and steps over the rest. What llama.cpp itself would stumble
over (a row that is no whole number of blocks, a tensor behind the end of the file) is refused here,
before native code sees it.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from keyhall.engines.local.tensor_types import FILE_TYPES, TENSOR_TYPES

HEADER_BYTES_MAX = 64 << 20  # A vocabulary of 262,144 tokens with its merges takes 16 MiB.
METADATA_MAX = 4_096  # of keys; models have about 40
TENSORS_MAX = 65_536  # the largest open models have about 2,000
STRINGS_MAX = 2_000_000  # in lists, all together: a large vocabulary has 800,000
DIMENSIONS_MAX = 4
NAME_BYTES_MAX = 63  # of a tensor; llama.cpp keeps 64 with the zero behind it
KEY_BYTES_MAX = 1_024
TEMPLATE_BYTES_MAX = 1 << 20  # The longest have 20 kB.
TEXT_BYTES_MAX = 4_096  # of what else is kept
LAYERS_MAX = 1_024
ALIGNMENT_MAX = 1 << 20
TENSOR_BYTES_MAX = 1 << 48  # No tensor has 256 TiB; sums of 65,536 such fit 64 bits.
SHOWN_CHARACTERS = 100

_TEMPLATE = "tokenizer.chat_template"
_HEADS = "attention.head_count"  # and `_kv`: for all layers, or a list with one for each
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")

# Types of values: their struct format. A text is 8, a list is 9.
# fmt: off
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}
# fmt: on
_TEXT, _LIST = 8, 9
_LENGTH = struct.Struct("<Q")

Value = int | float | bool | str | tuple[int, ...]


class NotGguf(Exception):
    """The file cannot be used; the message is what is wrong with it, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says. Sizes are bytes; `expected_size` is what the file has at least."""

    version: int
    architecture: str
    name: str  # fit to be shown; empty if it has none
    license: str  # likewise
    kind: str  # of the content: model, adapter, mmproj, vocab, imatrix
    parameters: int
    tensor_bytes: int
    quantization: str  # Q4_K_M
    context: int  # tokens that it was trained for; 0: not said
    template: str  # of chats, Jinja; empty: none
    tokenizer: str  # llama, gpt2, ...; empty: not said
    vocabulary: int  # how many tokens it knows
    parts: int  # files that the model is split into
    expected_size: int
    kv_bytes_per_token: int  # of the cache with 16 bits a number; an upper bound
    metadata: Mapping[str, Value] = field(default_factory=dict, repr=False)  # what was kept

    @property
    def bits_per_weight(self) -> float:
        return self.tensor_bytes * 8 / self.parameters if self.parameters else 0.0


@dataclass(frozen=True, slots=True)
class _Tensor:
    parameters: int
    kind: int
    offset: int
    size: int | None  # None: of a type that we do not know


def read(data: bytes, size: int) -> Header:
    """The header of a file of `size` bytes that begins with `data`: all of it, or its first
    HEADER_BYTES_MAX. Raises NotGguf."""
    cursor = _Cursor(data[:HEADER_BYTES_MAX], is_whole=len(data) >= min(size, HEADER_BYTES_MAX))
    version = _version(cursor)
    tensor_count, metadata_count = cursor.number("Q"), cursor.number("Q")
    if tensor_count > TENSORS_MAX or metadata_count > METADATA_MAX:
        raise NotGguf(f"says that it has {tensor_count:,} tensors and {metadata_count:,} values")
    metadata = _metadata(cursor, metadata_count)
    alignment = _whole(metadata, "general.alignment", 32)
    if not 0 < alignment <= ALIGNMENT_MAX or alignment & (alignment - 1):
        raise NotGguf(f"says that its tensors are aligned to {alignment:,} bytes")
    tensors = _tensors(cursor, tensor_count, alignment)
    begin = -(-cursor.place // alignment) * alignment
    return _header(version, metadata, tensors, begin)


def _version(cursor: "_Cursor") -> int:
    if cursor.take(4) != b"GGUF":
        raise NotGguf("does not begin as a GGUF file does")
    version = cursor.number("I")
    if version & 0xFFFF == 0:
        raise NotGguf("is written for big-endian machines")
    if version not in (2, 3):
        raise NotGguf(f"is GGUF of version {version}; 2 and 3 can be read")
    return version


class _Cursor:
    """A place in bytes that never goes behind their end."""

    def __init__(self, data: bytes, *, is_whole: bool) -> None:
        self._data = data
        self._is_whole = is_whole
        self.place = 0
        self.strings = 0

    def skip(self, count: int) -> int:
        """Step over so many bytes; gives where they begin."""
        begin = self.place
        if count > len(self._data) - begin:
            raise self._short()
        self.place = begin + count
        return begin

    def skip_texts(self, count: int) -> None:
        data, place, end = self._data, self.place, len(self._data) - _LENGTH.size
        for _ in range(count):  # A vocabulary and its merges: nothing else is as long.
            if place > end:
                raise self._short()
            place += _LENGTH.size + _LENGTH.unpack_from(data, place)[0]
        self.skip(place - self.place)

    def _short(self) -> NotGguf:
        if self._is_whole and len(self._data) < HEADER_BYTES_MAX:
            return NotGguf("ends within its header: it was not copied whole, or is damaged")
        return NotGguf(f"has a header of more than {HEADER_BYTES_MAX >> 20} MiB")

    def take(self, count: int) -> bytes:
        begin = self.skip(count)
        return self._data[begin : self.place]

    def scalar(self, form: str) -> int | float | bool:
        code = "<" + form
        begin = self.skip(struct.calcsize(code))
        found: int | float | bool = struct.unpack_from(code, self._data, begin)[0]
        return found

    def unpacked(self, code: str, begin: int) -> tuple[int, ...]:
        return struct.unpack_from(code, self._data, begin)

    def number(self, form: str) -> int:
        return int(self.scalar(form))

    def text(self, longest: int, what: str) -> str:
        length = self.number("Q")
        if length > longest:
            raise NotGguf(f"has {what} of {length:,} bytes")
        return self.take(length).decode("utf-8", "replace")


def _metadata(cursor: _Cursor, count: int) -> dict[str, Value]:
    """Texts that are not too long, numbers, and short lists of whole numbers, by their keys."""
    kept: dict[str, Value] = {}
    seen = set()
    for _ in range(count):
        key = cursor.text(KEY_BYTES_MAX, "a key")
        if key in seen:
            raise NotGguf(f"says '{_fit(key)}' twice")
        seen.add(key)
        value = _value(cursor, key, cursor.number("I"))
        if value is not None:
            kept[key] = value
    return kept


def _value(cursor: _Cursor, key: str, kind: int) -> Value | None:
    if kind == _LIST:
        return _list(cursor, key)
    if kind == _TEXT:
        length = cursor.number("Q")
        if length > (TEMPLATE_BYTES_MAX if key == _TEMPLATE else TEXT_BYTES_MAX):
            cursor.skip(length)
            return None
        return cursor.take(length).decode("utf-8", "replace")
    if kind not in _SCALARS:
        raise NotGguf(f"has a value of an unknown type, {kind}")
    return cursor.scalar(_SCALARS[kind])


def _list(cursor: _Cursor, key: str) -> tuple[int, ...] | int | None:
    """Of texts their number, for vocabularies are long; of numbers the heads of layers."""
    kind, count = cursor.number("I"), cursor.number("Q")
    if kind == _TEXT:
        cursor.strings += count
        if cursor.strings > STRINGS_MAX:
            raise NotGguf(f"has lists of more than {STRINGS_MAX:,} texts")
        cursor.skip_texts(count)
        return count
    if kind not in _SCALARS:
        what = "a list of lists" if kind == _LIST else f"a list of an unknown type, {kind}"
        raise NotGguf(f"has {what}")
    form = _SCALARS[kind]
    begin = cursor.skip(count * struct.calcsize("<" + form))
    if _HEADS not in key or count > LAYERS_MAX or form in "fd":
        return None
    return cursor.unpacked(f"<{count}{form}", begin)


def _tensors(cursor: _Cursor, count: int, alignment: int) -> list[_Tensor]:
    found = []
    names = set()
    for _ in range(count):
        name = cursor.text(NAME_BYTES_MAX, "a tensor's name")
        if name in names:
            raise NotGguf(f"has two tensors {_fit(name)}")
        names.add(name)
        dimensions = cursor.number("I")
        if dimensions > DIMENSIONS_MAX:
            raise NotGguf(f"has a tensor of {dimensions:,} dimensions")
        shape = [cursor.number("Q") for _ in range(dimensions)]
        found.append(_tensor(name, shape, cursor.number("I"), cursor.number("Q"), alignment))
    return found


def _tensor(name: str, shape: list[int], kind: int, offset: int, alignment: int) -> _Tensor:
    parameters = 1
    for length in shape:
        parameters *= length
        if parameters > TENSOR_BYTES_MAX:
            raise NotGguf(f"has a tensor {_fit(name)} that is too large to be one")
    if offset % alignment or offset > TENSOR_BYTES_MAX:
        raise NotGguf(f"has a tensor {_fit(name)} where none can be")
    if kind not in TENSOR_TYPES:
        return _Tensor(parameters, kind, offset, None)
    _, block, size = TENSOR_TYPES[kind]
    if (shape[0] if shape else 1) % block:
        raise NotGguf(f"has a tensor {_fit(name)} whose rows are no whole blocks")
    return _Tensor(parameters, kind, offset, parameters // block * size)


def _header(version: int, metadata: dict[str, Value], tensors: list[_Tensor], begin: int) -> Header:
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
        raise NotGguf("does not say which architecture it has")
    layers = _whole(metadata, f"{architecture}.block_count", 0)
    return Header(
        version=version,
        architecture=architecture,
        name=_fit(_text(metadata, "general.name")),
        license=_fit(_text(metadata, "general.license")),
        kind=_fit(_text(metadata, "general.type")) or "model",
        parameters=sum(each.parameters for each in tensors),
        tensor_bytes=sum(each.size or 0 for each in tensors),
        quantization=_quantization(metadata, tensors),
        context=_whole(metadata, f"{architecture}.context_length", 0),
        template=_text(metadata, _TEMPLATE),
        tokenizer=_fit(_text(metadata, "tokenizer.ggml.model")),
        vocabulary=_whole(metadata, "tokenizer.ggml.tokens", 0),
        parts=_whole(metadata, "split.count", 1) or 1,
        expected_size=begin + max((each.offset + (each.size or 0) for each in tensors), default=0),
        kv_bytes_per_token=2 * _kept_numbers(metadata, architecture, layers),
        metadata=metadata,
    )


def _kept_numbers(metadata: dict[str, Value], architecture: str, layers: int) -> int:
    """How many numbers the cache keeps of one token: a key and a value for each head of each
    layer that has any. Windows that slide need less."""
    if not 0 < layers <= LAYERS_MAX:
        return 0
    width = _whole(metadata, f"{architecture}.embedding_length", 0)
    heads = _per_layer(metadata, f"{architecture}.{_HEADS}", layers)
    kept = _per_layer(metadata, f"{architecture}.{_HEADS}_kv", layers) or heads
    usual = width // max(heads) if heads and max(heads) > 0 else 0
    key = _whole(metadata, f"{architecture}.attention.key_length", usual)
    value = _whole(metadata, f"{architecture}.attention.value_length", usual)
    return sum(kept) * (key + value)


def _per_layer(metadata: dict[str, Value], key: str, layers: int) -> list[int]:
    """One number for all layers, or one for each."""
    value = metadata.get(key)
    found = list(value) if isinstance(value, tuple) else [_whole(metadata, key, 0)] * layers
    return [max(0, each) for each in found] if any(found) else []


def _quantization(metadata: dict[str, Value], tensors: list[_Tensor]) -> str:
    """As the file says; else the type that most of its bytes are of."""
    said = FILE_TYPES.get(_whole(metadata, "general.file_type", -1))
    if said is not None:
        return said
    sizes: dict[int, int] = {}
    for each in tensors:
        sizes[each.kind] = sizes.get(each.kind, 0) + (each.size or each.parameters)
    if not sizes:
        return "none"
    most = max(sizes, key=sizes.__getitem__)
    return TENSOR_TYPES[most][0] if most in TENSOR_TYPES else f"type {most}"


def _whole(metadata: Mapping[str, Value], key: str, otherwise: int) -> int:
    """A whole number that makes sense as a count."""
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return otherwise
    return value if 0 <= value < 1 << 40 else otherwise


def _text(metadata: Mapping[str, Value], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _fit(text: str) -> str:
    """Fit to be shown: printable, on one line, not too long."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())[:SHOWN_CHARACTERS]
