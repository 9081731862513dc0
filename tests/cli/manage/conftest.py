"""The command line against a data folder of the test's own."""

import json

import pytest
from click.testing import CliRunner

from keyhall.cli import main


class Keyhall:
    """`keyhall ARGUMENTS` on one data folder; a failure that is not expected fails the test."""

    def __init__(self, data, config=None):
        self.data = data
        self.environment = {"KEYHALL_DATA": str(data), "KEYHALL_CONFIG": config, "NO_COLOR": "1"}

    def __call__(self, *arguments, status=0):
        done = CliRunner().invoke(main, arguments, env=self.environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == status, done.output
        return done.output

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments, status=1):
        """What standard error says."""
        return self(*arguments, status=status)


@pytest.fixture
def keyhall(house):
    return Keyhall(house.data)


@pytest.fixture
def fresh_keyhall(tmp_path):
    """On a folder that is not there yet."""
    return Keyhall(tmp_path / "fresh")


@pytest.fixture
def keyhall_with_tiers(house, tmp_path):
    config = tmp_path / "keyhall.toml"
    config.write_text(
        "[tiers.team]\nlimits = { requests_per_minute = 7, in_flight = 2 }\ndefault_output = 100\n"
    )
    return Keyhall(house.data, str(config))
