"""What is written in base64 and the like: decoded, where it decodes to something readable.

Nothing grows by being decoded, and it is done twice at most, so there are no bombs.
"""

import binascii
import codecs
import html
import re
from collections.abc import Iterator
from itertools import islice

from keyhall.policy.filters.views.view import Edit, Sign, spans

DEPTH = 2  # of something encoded in something encoded
EDITS_MAX = 4_000  # of each kind in one text: each costs some microseconds
BLOCK = 4_096  # bytes that are readable together, or not
UNREADABLE = 0.2  # as a share: of bytes that were drawn at random it is two thirds
UNREADABLE_MAX = 8  # blocks, then it is given up: a picture is none from its beginning
# Characters of a run that is neither text nor encoded text: a picture, of which nothing is looked
# at. As words with `+` between them, if those are of fewer characters than this, it is text.
OPAQUE, OPAQUE_WORD = 256, 16

BASE64, HEX, PERCENT = "in base64", "in hex", "percent-encoded"
ENTITIES, ESCAPES = "as HTML entities", "as escapes"

_RUN = r"[A-Za-z0-9+/_-]"
# Lines of a longer text in base64 are of 64 or 76 characters, the last one of fewer.
_LONG = Sign(rf"{_RUN}{{40,}}(?:\r?\n{_RUN}{{4,}})*={{0,2}}|{_RUN}{{16,}}={{0,2}}")
BYTES = r"(?:0x)?[0-9A-Fa-f]{2}(?:[ ,:]{1,2}(?:0x)?[0-9A-Fa-f]{2}){7,}"  # 68 6f 77
_BYTES = Sign(rf"\b{BYTES}\b")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+\Z")
_NO_HEX = re.compile(r"0x|[ ,:]")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PLUS = re.compile(r"\+(?=[A-Za-z0-9%])")
_ENTITY = re.compile(r"(?:&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});)+")
_ESCAPE = re.compile(
    r"(?:\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|U[0-9A-Fa-f]{8}))+"
)
_CODE = re.compile(r"[0-9A-Fa-f]+")
_STANDARD = str.maketrans("-_", "+/")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_UTF8 = codecs.getincrementaldecoder("utf-8")

GATE = rf"{_RUN}{{16}}|{BYTES}"
SIGNS = (_LONG, _BYTES)


def may_be(text: str) -> bool:
    """Whether signs of it are there that are cheap to see. (The others are in GATE.)"""
    return "%" in text or "\\" in text or "+" in text or ("&" in text and ";" in text)


def edits(text: str) -> list[Edit]:
    """All that decodes to something readable."""
    found = [*islice(_runs(text), EDITS_MAX), *_signs(text)]
    found.sort()
    kept: list[Edit] = []
    at = 0
    for edit in found:
        if edit.start >= at:
            kept.append(edit)
            at = edit.end
    return kept


def _runs(text: str) -> Iterator[Edit]:
    for start, end in islice(spans(_LONG, text), EDITS_MAX):
        run = text[start:end]
        in_hex = _HEX.match(run) is not None
        plain = _readable(bytes.fromhex(run)) if in_hex else _base64(run)
        if plain is not None:
            yield Edit(start, end, plain, HEX if in_hex else BASE64)
        elif len(run) >= OPAQUE and run.count("+") * OPAQUE_WORD < len(run):
            yield Edit(start, end, " ", "")
    for start, end in islice(spans(_BYTES, text), EDITS_MAX):
        plain = _readable(bytes.fromhex(_NO_HEX.sub("", text[start:end])))
        if plain is not None:
            yield Edit(start, end, plain, HEX)


def _signs(text: str) -> Iterator[Edit]:
    """Percent signs, entities and escapes: single characters mostly, with letters between them."""
    if "%" in text:
        for each in islice(_PERCENT.finditer(text), EDITS_MAX):
            plain = bytes.fromhex(each[0].replace("%", "")).decode("utf-8", "replace")
            yield Edit(each.start(), each.end(), plain, PERCENT)
    if "+" in text:
        for each in islice(_PLUS.finditer(text), EDITS_MAX):
            at = each.start()
            if at and text[at - 1].isalnum():
                yield Edit(at, at + 1, " ", PERCENT)
    if "&" in text:
        for each in islice(_ENTITY.finditer(text), EDITS_MAX):
            yield Edit(each.start(), each.end(), html.unescape(each[0]), ENTITIES)
    if "\\" in text:
        for each in islice(_ESCAPE.finditer(text), EDITS_MAX):
            codes = (int(code, 16) for code in _CODE.findall(each[0]))
            plain = "".join(map(_character, codes))
            yield Edit(each.start(), each.end(), plain, ESCAPES)


def _character(code: int) -> str:
    is_one = code < 0xD800 or 0xE000 <= code < 0x110000  # half a surrogate pair is none
    return chr(code) if is_one else "\ufffd"


def _base64(run: str) -> str | None:
    bare = "".join(run.split()).rstrip("=").translate(_STANDARD)
    if len(bare) % 4 == 1:
        bare = bare[:-1]  # Half a byte more than there are.
    return _readable(binascii.a2b_base64(bare + "=" * (-len(bare) % 4)))


def _readable(data: bytes) -> str | None:
    """The text that they are, block by block, if any is one for the most part."""
    decoder = _UTF8("replace")
    found: list[str] = []
    unreadable = 0
    for begin in range(0, len(data), BLOCK):
        text = decoder.decode(data[begin : begin + BLOCK], final=begin + BLOCK >= len(data))
        bare = _UNREADABLE.sub("", text)
        if len(text) - len(bare) <= UNREADABLE * len(text):
            found.append(bare)
        elif (unreadable := unreadable + 1) == UNREADABLE_MAX:
            break
    return "".join(found) or None
