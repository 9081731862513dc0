"""I-19, F-25: a backup is what was there, says when it is not, and overwrites nothing."""

import tarfile

import msgspec
import pytest

from keyhall.flows.backup import archive, put_back, take
from keyhall.flows.backup.archive import BadArchive
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.verify.findings import silent
from keyhall.ledger.journal import open_journal

NOW_US = 1_800_000_000_000_000


@pytest.fixture
def backed_up(house, tmp_path):
    """A function that backs the house up."""

    def make(name="backup.tar", **options):
        return take.take(house.data, tmp_path / name, now_us=NOW_US, progress=silent, **options)

    return make


def restore(path, folder, **options):
    folder.mkdir(exist_ok=True)
    known = {"stamp": "now", "moves_aside": False, "progress": silent}
    return put_back.put_back(path, folder, **(known | options))


def test_a_backup_restores_to_the_same_files(house, backed_up, tmp_path) -> None:
    (house.data / "spool-1.bin").write_bytes(b"some rows")
    open_journal(house.data / "journal-1.bin", slots=8).close()
    (house.data / "server.lock").write_text("1\n")
    taken = backed_up(with_pepper=True)
    names = {kept.name for kept in taken.manifest.files}
    assert names == {"keyhall.db", "pepper", "spool-1.bin", "journal-1.bin"}
    assert taken.path.stat().st_mode & 0o777 == 0o600
    assert taken.manifest.counts["projects"] == 1
    done = restore(taken.path, tmp_path / "new")
    assert done.has_pepper
    assert done.aside is None
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    for name in ("pepper", "spool-1.bin", "journal-1.bin"):
        assert (tmp_path / "new" / name).read_bytes() == (house.data / name).read_bytes()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "new").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "house", "new"]


def test_the_pepper_stays_out_unless_asked_for(backed_up, tmp_path) -> None:
    taken = backed_up()
    assert not taken.manifest.has_pepper
    assert not restore(taken.path, tmp_path / "new").has_pepper
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "pepper").write_text("put there before")
    assert restore(taken.path, tmp_path / "ready").has_pepper


def test_a_backup_overwrites_nothing(backed_up, house, tmp_path) -> None:
    backed_up()
    with pytest.raises(Invalid, match="exists"):
        take.target_of(tmp_path / "backup.tar", "now")
    with pytest.raises(Invalid, match="exists"):
        backed_up()  # It came to be after `target_of` had looked.
    assert take.target_of(tmp_path, "now") == tmp_path / "keyhall-now.tar"
    with pytest.raises(NotFound, match="no folder"):
        take.target_of(tmp_path / "none" / "file", "now")


def test_a_database_that_cannot_be_copied_is_refused_and_leaves_nothing(
    backed_up, house, tmp_path
) -> None:
    house.database.write_bytes(b"no database" * 1000)
    with pytest.raises(Refused, match="cannot be copied"):
        backed_up()
    assert [path.name for path in tmp_path.iterdir()] == ["house"]


def test_a_journal_of_another_format_is_copied_as_it_is(house, backed_up) -> None:
    (house.data / "journal-1.bin").write_bytes(b"another format")
    taken = backed_up()
    assert taken.in_flight == 0
    assert "journal-1.bin" in {kept.name for kept in taken.manifest.files}


def test_without_a_database_of_its_own_only_what_is_on_its_way_is_copied(house, backed_up) -> None:
    (house.data / "spool-1.bin").write_bytes(b"some rows")
    taken = backed_up(has_database=False)
    assert [kept.name for kept in taken.manifest.files] == ["spool-1.bin"]
    assert taken.manifest.schema == ""


# --- Restore --------------------------------------------------------------------------------------


def test_a_restore_refuses_a_folder_with_data_or_moves_it_aside(house, backed_up, tmp_path) -> None:
    path = backed_up().path
    pepper = (house.data / "pepper").read_bytes()
    (house.data / "journal-1.bin").write_bytes(b"what was in flight")
    with pytest.raises(Invalid, match=r"is not empty \(journal-1.bin, keyhall.db"):
        restore(path, house.data)
    done = restore(path, house.data, moves_aside=True)
    assert done.aside == house.data / "before-restore-now"
    assert (done.aside / "journal-1.bin").read_bytes() == b"what was in flight"
    assert (done.aside / "keyhall.db").exists()
    assert (house.data / "pepper").read_bytes() == pepper, "the backup has none: it stays"
    with pytest.raises(Invalid):
        restore(path, house.data)
    assert restore(path, house.data, moves_aside=True, stamp="later").aside is not None


def spoiled(path, spoil):
    content = bytearray(path.read_bytes())
    spoil(content)
    path.write_bytes(content)
    return path


def flip(content):
    content[len(content) // 2] ^= 1


def cut(content):
    del content[len(content) // 2 :]


def cut_head(content):
    del content[100:]


@pytest.mark.parametrize("spoil", [flip, cut, cut_head, bytearray.clear])
def test_an_archive_that_is_not_whole_is_refused_and_leaves_the_folder_empty(
    backed_up, tmp_path, spoil
) -> None:
    path = spoiled(backed_up().path, spoil)
    with pytest.raises(BadArchive):
        restore(path, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def archive_of(path, manifest, **members):
    import io

    with tarfile.open(path, "w") as tar:
        for name, content in {archive.MANIFEST: manifest, **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 9, "release": "7.0"}, "Restore it with release 7.0"),
        ({"schema": "9999"}, "has schema 9999"),
        ({"byteorder": "middle"}, "another kind"),
        ({"files": [archive.Kept("../../keyhall.db", 1, "")]}, "names files"),
        ({"files": [archive.Kept("a", 1, "")] * 2}, "names files"),
        ({"files": [archive.Kept("keyhall.db", 1, "")]}, "cut short: keyhall.db missing"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(house, backed_up, tmp_path, changes, said) -> None:
    open_journal(house.data / "journal-1.bin", slots=8).close()
    manifest = msgspec.structs.replace(backed_up().manifest, **changes)
    path = archive_of(tmp_path / "other.tar", msgspec.json.encode(manifest))
    with pytest.raises(BadArchive, match=said):
        restore(path, tmp_path / "new")


def test_a_file_beside_the_manifest_is_refused(backed_up, tmp_path) -> None:
    manifest = msgspec.structs.replace(backed_up().manifest, files=[])
    path = archive_of(tmp_path / "o.tar", msgspec.json.encode(manifest), **{"/etc/passwd": b"x"})
    with pytest.raises(BadArchive, match="its manifest does not"):
        restore(path, tmp_path / "new")


def test_an_archive_of_something_else_is_refused(tmp_path) -> None:
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("photo.jpg"))
    with pytest.raises(BadArchive, match="not one of"):
        restore(tmp_path / "other.tar", tmp_path / "new")


def test_a_restore_that_was_killed_is_no_obstacle(backed_up, tmp_path) -> None:
    staging = tmp_path / "new" / put_back.STAGING
    staging.mkdir(parents=True)
    (staging / "keyhall.db").write_bytes(b"half of it")
    restore(backed_up().path, tmp_path / "new")
    assert not staging.exists()
