"""What the tests of stores share: the helpers of tests/running."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.
