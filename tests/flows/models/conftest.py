"""Model files for the tests of what is done with them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from model_files import make_model


@pytest.fixture
def model_file(tmp_path):
    return make_model(tmp_path / "Tiny-Test-Q4_K_M.gguf")
