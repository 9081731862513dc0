"""Fetch the console's browser files again from their npm packages, and write down what they are.

    python tools/vendor.py            # fetch, copy, write the manifest
    python tools/vendor.py --check    # only compare the files with the manifest; no network

The files are committed, so that neither installing nor serving needs npm or a network.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "tools" / "vendor.json"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(manifest: list[dict[str, str]]) -> list[str]:
    """What is not as the manifest says."""
    found = []
    for entry in manifest:
        path = ROOT / entry["to"]
        if not path.exists():
            found.append(f"{entry['to']} is missing")
        elif digest(path) != entry["sha256"]:
            found.append(f"{entry['to']} is not {entry['package']} {entry['version']}")
    return found


def fetch(manifest: list[dict[str, str]]) -> None:
    packages = sorted({f"{entry['package']}@{entry['version']}" for entry in manifest})
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            made = subprocess.run(
                ["npm", "pack", "--silent", package],
                cwd=folder, check=True, capture_output=True, text=True,
            )  # fmt: skip
            into = Path(folder) / package.replace("/", "_")
            with tarfile.open(Path(folder) / made.stdout.strip()) as archive:
                archive.extractall(into, filter="data")
        for entry in manifest:
            name = f"{entry['package']}@{entry['version']}".replace("/", "_")
            data = (Path(folder) / name / "package" / entry["file"]).read_bytes()
            to = ROOT / entry["to"]
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(data)
            entry["sha256"] = digest(to)
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    manifest = json.loads(MANIFEST.read_text())
    if not parser.parse_args().check:
        fetch(manifest)
    found = differences(manifest)
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
