"""Tables on terminals, and the one line that a folder out of reach gets."""

import pytest
from rich.console import Console

from keyhall.cli.manage import show


def printed(monkeypatch, width, *table, **more):
    """What a table looks like on a terminal of so many columns."""
    terminal = Console(
        width=width, force_terminal=True, color_system=None, highlight=False, markup=False
    )
    monkeypatch.setattr(show, "console", lambda: terminal)
    with terminal.capture() as found:
        show.table(*table, **more)
    return [line.rstrip() for line in found.get().splitlines()]


def test_a_table_is_as_wide_as_it_is_rather_than_cut(monkeypatch) -> None:
    columns = ("ID", ("Input tokens", "right"), "Expires")
    row = ("key_0123456789ab", "1,000", "in 30 d at the latest")
    total = ("Total of all keys", "12,345,678,901,234", "")
    lines = printed(monkeypatch, 30, columns, [row], total)
    assert len(lines) == 3
    assert [" ".join(line.split()) for line in lines] == [
        "ID Input tokens Expires",
        " ".join(row),
        " ".join(total).strip(),
    ]


def test_only_prose_wraps(monkeypatch) -> None:
    columns = ("ID", ("Name", "wrap"))
    lines = printed(monkeypatch, 24, columns, [("key_01", "a long name of an app")])
    assert len(lines) > 2
    assert max(map(len, lines)) <= 24


def test_what_is_piped_has_no_blanks_at_its_ends(capsys) -> None:
    show.table(("ID", "Name"), [("key_01", "a"), ("key_02", "longer")])
    assert capsys.readouterr().out == "ID      Name\nkey_01  a\nkey_02  longer\n"


@pytest.mark.parametrize("place", ["file", "file/in/it"])
def test_a_data_folder_that_cannot_be_is_one_line(keyhall, tmp_path, place) -> None:
    (tmp_path / "file").write_text("")
    keyhall.environment["KEYHALL_DATA"] = str(tmp_path / place)
    said = keyhall.refused("keys", "create", "--name", "app")
    assert len(said.splitlines()) == 1
    assert str(tmp_path / "file") in said


def test_a_folder_that_cannot_be_made_is_one_line(keyhall) -> None:
    keyhall.environment["KEYHALL_DATA"] = "/proc/x"
    said = keyhall.refused("keys", "create", "--name", "app")
    assert said.startswith("Error: /proc/x: ")
