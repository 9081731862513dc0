"""The real command line without the second that a new process takes: for tests that use it often.

It works on the data folder of a server that runs in another process, like any shell would.
"""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from keyhall.cli import main


def keyhall(data: Path, config: Path, *arguments: str) -> str:
    """What `keyhall ARGUMENTS` prints. Call it outside of event loops: it starts its own."""
    where = ["--data", str(data), "--config", str(config)]
    done = CliRunner().invoke(main, [*arguments, *where])
    assert done.exit_code == 0, done.output
    return done.stdout


def keyhall_json(data: Path, config: Path, *arguments: str) -> Any:
    return json.loads(keyhall(data, config, *arguments, "--json"))
