"""What is under `deploy/` is checked as far as it goes without a cluster or a container daemon."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # No packages in tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "running"))
