"""`GET /v1/models` and one model of it. `shutdown_date` is where a version says its end (R8)."""

from collections.abc import Iterable

import msgspec

_encode = msgspec.json.Encoder().encode


class Model(msgspec.Struct, frozen=True):
    """`created` in seconds since 1970, `shutdown_date` as `2027-05-01`."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = ""
    shutdown_date: str | None = None


class _Models(msgspec.Struct, frozen=True):
    object: str = "list"
    data: list[Model] = []


def encode_models(models: Iterable[Model]) -> bytes:
    return _encode(_Models(data=list(models)))


def encode_model(model: Model) -> bytes:
    return _encode(model)
