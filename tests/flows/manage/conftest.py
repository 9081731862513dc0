"""What people do to a hall, on each database that it may be kept in."""

from typing import Any

import pytest


@pytest.fixture
def house(any_house: Any) -> Any:
    return any_house
