"""What commands share: settings with their mistakes told in one place, and how to fail."""

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from keyhall.config import Config, ConfigError, load


def fail(message: str) -> NoReturn:
    """One sentence on standard error, exit status 1."""
    click.echo(click.style("Error: ", fg="red") + message, err=True)
    sys.exit(1)


def unshown(error: OSError, then: str = "") -> NoReturn:
    """Standard output takes nothing more, because its disk is full for example: one sentence, and
    what follows from it."""
    with contextlib.suppress(OSError, ValueError):  # Python would try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    fail(f"The output cannot be written: {error.strerror or error}.{then}")


def load_config(
    data: str | None,
    path: str | None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """The settings, or every mistake in them and exit status 1."""
    try:
        return load(data, path, None, overrides)
    except ConfigError as error:
        fail(str(error))
