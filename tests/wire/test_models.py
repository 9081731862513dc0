"""The list of models, as the official client reads it."""

import json

from openai.pagination import SyncPage
from openai.types import Model as ClientModel

from keyhall.wire import models


def test_a_list_of_models_has_the_shape_that_clients_page_through():
    body = models.encode_models(
        models.Model(id=id, created=1_760_000_000, owned_by="keyhall", shutdown_date=date)
        for id, date in (("v1", None), ("v0.9", "2027-05-01"))
    )
    assert json.loads(body) == {
        "object": "list",
        "data": [
            {
                "id": "v1",
                "object": "model",
                "created": 1_760_000_000,
                "owned_by": "keyhall",
                "shutdown_date": None,
            },
            {
                "id": "v0.9",
                "object": "model",
                "created": 1_760_000_000,
                "owned_by": "keyhall",
                "shutdown_date": "2027-05-01",
            },
        ],
    }
    page = SyncPage[ClientModel].model_validate_json(body)
    assert [model.id for model in page.data] == ["v1", "v0.9"]


def test_one_model_is_an_object_of_its_own():
    body = models.encode_model(models.Model(id="v1", created=1, owned_by="keyhall"))
    assert ClientModel.model_validate_json(body, strict=True).owned_by == "keyhall"


def test_no_models_are_an_empty_list():
    assert json.loads(models.encode_models([])) == {"object": "list", "data": []}
