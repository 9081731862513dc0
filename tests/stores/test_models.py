"""Model files as they are kept, on both databases."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from keyhall.ports.records import ModelRecord
from keyhall.stores import models

MODEL = ModelRecord(
    name="tiny",
    path="/models/tiny \u00fc.gguf",
    sha256="a" * 64,
    size=1 << 40,
    architecture="llama",
    parameters=700_000_000_000,
    context=131_072,
    has_template=True,
    slots=4,
    slot_context=4096,
    threads=None,
    shares_prefixes=False,
    created_at_us=1_800_000_000_000_000,
)
OTHER = replace(MODEL, name="other", has_template=False, shares_prefixes=True, threads=2)


def test_models_are_kept_as_they_were_added_until_they_are_removed(any_house) -> None:
    async def work(store):
        async with store.writing() as connection:
            for model in (MODEL, OTHER):
                await models.add_model(connection, model)
        assert await store.list_models() == [OTHER, MODEL], "by name"
        async with store.reading() as connection:
            assert await models.find_model(connection, "tiny") == MODEL
            assert await models.find_model(connection, "nosuch") is None
        async with store.writing() as connection:
            await models.remove_model(connection, "tiny")
        assert await store.list_models() == [OTHER]

    any_house.run(work)


@pytest.mark.parametrize(
    "wrong", [{"sha256": "a" * 63}, {"size": 0}, {"slots": 0}, {"slot_context": 0}, {"threads": 0}]
)
def test_a_model_that_cannot_be_is_not_kept(house, wrong) -> None:
    async def work(store):
        with pytest.raises(IntegrityError):
            async with store.writing() as connection:
                await models.add_model(connection, replace(MODEL, **wrong))
        assert await store.list_models() == []

    house.run(work)
