"""`GET /v1/models` and one model of it. `shutdown_date` is where a version says its end (R8)."""

from collections.abc import Iterable

import msgspec

_encode = msgspec.json.Encoder().encode


class Model(msgspec.Struct, frozen=True):
    """`created` in seconds since 1970, `shutdown_date` as `2027-05-01`."""

    id: str
    created: int
    owned_by: str
    shutdown_date: str | None = None
    object: str = "model"


class _Models(msgspec.Struct, frozen=True):
    data: list[Model]
    object: str = "list"


def encode_models(models: Iterable[Model]) -> bytes:
    return _encode(_Models(list(models)))


def encode_model(model: Model) -> bytes:
    return _encode(model)
