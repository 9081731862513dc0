"""The pepper: private, durable, made once."""

import stat

import pytest

from keyhall.stores.pepper import PepperRefused, find_peppers, load_peppers


def test_a_new_folder_gets_a_pepper_for_its_owner_alone(tmp_path) -> None:
    (pepper,) = load_peppers(tmp_path)
    assert len(pepper) == 32
    assert stat.S_IMODE((tmp_path / "pepper").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]


def test_it_stays_the_same(tmp_path) -> None:
    assert load_peppers(tmp_path) == load_peppers(tmp_path)


def test_two_folders_have_different_ones(tmp_path) -> None:
    (tmp_path / "other").mkdir()
    assert load_peppers(tmp_path) != load_peppers(tmp_path / "other")


def test_the_last_line_is_the_newest(tmp_path) -> None:
    old = load_peppers(tmp_path)
    with (tmp_path / "pepper").open("a") as file:
        file.write("ab" * 32 + "\n")
    assert load_peppers(tmp_path) == (bytes.fromhex("ab" * 32), *old)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_one_that_others_can_read_is_refused_with_what_to_do(tmp_path, mode) -> None:
    load_peppers(tmp_path)
    (tmp_path / "pepper").chmod(mode)
    with pytest.raises(PepperRefused, match=f"mode {mode:o}.*chmod 600.*rotate all keys"):
        load_peppers(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "abcd\n", "xyz" * 22, "ab" * 33 + "\n", "ä" * 64, "ab" * 32 + " cd"]
)
def test_a_damaged_one_is_refused_and_never_replaced(tmp_path, text) -> None:
    path = tmp_path / "pepper"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(PepperRefused, match="damaged"):
        load_peppers(tmp_path)
    assert path.read_text(encoding="utf-8") == text


def test_what_the_settings_give_replaces_the_file(tmp_path) -> None:
    given = f"{'ab' * 32},{'cd' * 32}"
    assert find_peppers(given, tmp_path) == (b"\xab" * 32, b"\xcd" * 32)
    assert list(tmp_path.iterdir()) == []
    assert find_peppers("", tmp_path) == load_peppers(tmp_path)
