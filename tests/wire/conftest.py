"""Corpora of bad input made by others, read from the folder that KEYHALL_CORPORA names."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpora() -> Path:
    folder = os.environ.get("KEYHALL_CORPORA")
    if not folder:
        pytest.skip("KEYHALL_CORPORA is not set: the corpora of bad input were not tried")
    return Path(folder)
