"""What is vendored is what its manifest says."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import vendor  # noqa: E402 - behind its path


def test_every_vendored_file_is_the_package_it_says() -> None:
    manifest = json.loads(vendor.MANIFEST.read_text())
    assert vendor.differences(manifest) == []
    listed = {entry["to"] for entry in manifest}
    folder = ROOT / "src/keyhall/console/static/vendor"
    assert {str(path.relative_to(ROOT)) for path in folder.iterdir()} <= listed
