"""Records of models in files, for tests that need no file."""

from dataclasses import replace
from typing import Any

from keyhall.ports.records import ModelRecord

_MADE = ModelRecord(
    name="tiny",
    path="/models/tiny.gguf",
    sha256="ab" * 32,
    size=470_000,
    architecture="llama",
    parameters=115_904,
    context=2048,
    has_template=True,
    slots=4,
    slot_context=2048,
    threads=None,
    shares_prefixes=False,
    created_at_us=1,
)


def made_model(**changes: Any) -> ModelRecord:
    return replace(_MADE, **changes)
