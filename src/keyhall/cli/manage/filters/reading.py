"""Files that commands read: texts that are tried, and rules."""

from pathlib import Path

import click

from keyhall.cli.options import fail
from keyhall.policy.filters.rules import Rule, RuleRefused
from keyhall.policy.filters.written.files import FileRefused, parse

FILE_BYTES_MAX = 1 << 20  # of a file of rules
TEXT_BYTES_MAX = 256 << 20  # of a text that is tried; it is held in memory


def text_of_file(file: str) -> str:
    where = "Standard input" if file == "-" else file
    try:
        with click.open_file(file, "rb") as source:
            data: bytes = source.read(TEXT_BYTES_MAX + 1)
    except OSError as error:
        fail(f"{where} cannot be read: {error.strerror}.")
    if len(data) > TEXT_BYTES_MAX:
        fail(f"{where} has more than {TEXT_BYTES_MAX >> 20} MiB: try it in parts.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        fail(f"{where} is not UTF-8 text: see byte {error.start}.")


def rules_of_file(path: str) -> list[Rule]:
    file = Path(path)
    if file.stat().st_size > FILE_BYTES_MAX:
        fail(f"{path} has more than {FILE_BYTES_MAX >> 20} MiB.")
    try:
        return list(parse({file.name: file.read_text("utf-8")}))
    except (FileRefused, RuleRefused, UnicodeDecodeError) as error:
        fail(f"{error}")
