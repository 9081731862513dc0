"""Model files: where each is, what it was when it was added, and how it is to be run."""

from dataclasses import asdict

from sqlalchemy import RowMapping, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.records import ModelRecord
from keyhall.stores.tables import models


def _model(row: RowMapping) -> ModelRecord:
    flags = {name: bool(row[name]) for name in ("has_template", "shares_prefixes")}
    return ModelRecord(**{**row, **flags})


async def list_models(connection: AsyncConnection) -> list[ModelRecord]:
    rows = await connection.execute(select(models).order_by(models.c.name))
    return [_model(row) for row in rows.mappings()]


async def find_model(connection: AsyncConnection, name: str) -> ModelRecord | None:
    query = select(models).where(models.c.name == name)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _model(row)


async def add_model(connection: AsyncConnection, model: ModelRecord) -> None:
    flags = {name: int(getattr(model, name)) for name in ("has_template", "shares_prefixes")}
    await connection.execute(insert(models).values(**{**asdict(model), **flags}))


async def remove_model(connection: AsyncConnection, name: str) -> None:
    await connection.execute(delete(models).where(models.c.name == name))
