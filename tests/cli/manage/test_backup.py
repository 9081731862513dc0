"""`keyhall backup` and `keyhall restore`, as people and scripts call them."""

import pytest

from keyhall.parts import locked


def test_there_and_back(house, keyhall, tmp_path) -> None:
    key = keyhall.json("keys", "create", "--name", "app")
    (tmp_path / "backups").mkdir()
    said = keyhall("backup", str(tmp_path / "backups"))
    [file] = (tmp_path / "backups").iterdir()
    assert said.startswith(f"Backed up {house.data} to {file} (")
    assert "1 organization, 1 project, 1 key, 0 usage rows, " in said
    assert f"The pepper is not in it: keep a copy of {house.data / 'pepper'}" in said
    new = tmp_path / "new"
    said = keyhall("restore", str(file), "--data", str(new))
    assert f"Restored {new} from the backup of 20" in said
    assert f"copy it to {new / 'pepper'} (mode 0600) before the next start" in said
    assert "Everything adds up: 0 usage rows" in said
    (new / "pepper").write_bytes((house.data / "pepper").read_bytes())
    (new / "pepper").chmod(0o600)
    assert keyhall.json("keys", "list", "--data", str(new))[0]["id"] == key["id"]


def test_machines_get_the_manifest_and_what_was_verified(house, keyhall, tmp_path) -> None:
    file = tmp_path / "b.tar"
    taken = keyhall.json("backup", str(file), "--with-pepper")
    assert taken["manifest"]["has_pepper"] is True
    assert taken["bytes"] == file.stat().st_size
    done = keyhall.json("restore", str(file), "--force")
    assert done["verified"]["ok"] is True
    assert done["aside"].startswith(str(house.data / "before-restore-"))
    said = keyhall("restore", str(file), "--force", "--data", str(tmp_path / "new"))
    assert "pepper" not in said
    said = keyhall("restore", str(file), "--force", "--data", str(tmp_path / "new"))
    assert "What was there before is in" in said


def test_the_pepper_in_a_backup_is_warned_of(keyhall, tmp_path) -> None:
    assert "Keep it as you keep secrets" in keyhall("backup", str(tmp_path), "--with-pepper")


def test_refusals_are_a_sentence(house, keyhall, fresh_keyhall, tmp_path) -> None:
    assert "no Keyhall data" in fresh_keyhall.refused("backup", str(tmp_path))
    keyhall("backup", str(tmp_path / "b.tar"))
    assert "overwrites nothing" in keyhall.refused("backup", str(tmp_path / "b.tar"))
    assert "is not empty" in keyhall.refused("restore", str(tmp_path / "b.tar"))
    with locked(house.data):
        said = keyhall.refused("restore", str(tmp_path / "b.tar"), "--force")
    assert "already runs on" in said
    (tmp_path / "b.tar").write_bytes(b"something")
    assert "no backup of Keyhall" in keyhall.refused("restore", str(tmp_path / "b.tar"), "--force")
    (house.data / "pepper").unlink()
    assert "to put in" in keyhall.refused("backup", str(tmp_path / "c.tar"), "--with-pepper")


def test_a_backup_that_does_not_add_up_is_restored_and_said_to(house, keyhall, tmp_path) -> None:
    """Its files are those that were backed up; what is wrong was wrong before."""
    house.run(lambda store: spoil(store))
    keyhall("backup", str(tmp_path / "b.tar"))
    said = keyhall("restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "n"), status=1)
    assert "Restored" in said
    assert "audit: audit row 1" in said


async def spoil(store):
    async with store.writing() as connection:
        await connection.exec_driver_sql("UPDATE audit SET who = 'eve' WHERE number = 1")


@pytest.mark.parametrize("command", ["verify", "backup", "restore"])
def test_help_says_what_is_done(keyhall, command) -> None:
    assert "Usage:" in keyhall(command, "--help")
