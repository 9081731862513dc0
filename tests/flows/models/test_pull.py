"""A model is fetched whole, compared, and gone on with after a cut: against a hub on loopback."""

import hashlib
import socket
import sys

import pytest
from hub_stub import COMMIT, Hub, Repo, a_hub

from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.models import pull
from keyhall.flows.models.choose import Listed, choose, parse_repo

NAME = "org/tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"
DATA = bytes(range(256)) * 2000  # 512 kB: several reads
SHA256 = hashlib.sha256(DATA).hexdigest()


def quiet(_what, _done, _total):
    pass


@pytest.fixture
def repo():
    return Repo({"README.md": b"# Tiny", FILE: DATA})


@pytest.fixture
def hub(repo):
    with a_hub() as found:
        found.repos[NAME] = repo
        yield found


@pytest.fixture(autouse=True)
def at_home_nowhere(monkeypatch, tmp_path):
    """No token of whoever runs the tests is found."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")


def pulled(hub: Hub, folder, progress=quiet, *, pattern=None, revision=None, token=None):
    with pull.Hub(hub.url, token) as library:
        return library.fetch(library.offer(NAME, pattern, revision), folder, progress)


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_whole_and_under_its_own_name(hub, tmp_path) -> None:
    told = []
    path = pulled(hub, tmp_path, lambda *facts: told.append(facts))
    assert path == tmp_path / "org--tiny-GGUF" / FILE
    assert path.read_bytes() == DATA
    assert left(tmp_path) == [FILE], "and nothing beside it"
    assert told[-1] == ("Reading", len(DATA), len(DATA))
    assert ("Downloading", len(DATA), len(DATA)) in told
    assert hub.asked[-1][0] == f"/{NAME}/resolve/{COMMIT}/{FILE}"


def test_what_is_there_already_is_not_fetched_again(hub, tmp_path) -> None:
    first = pulled(hub, tmp_path)
    before = len(hub.asked)
    assert pulled(hub, tmp_path) == first
    assert [path for path, _ in hub.asked[before:]] == [f"/api/models/{NAME}"]


def test_a_transfer_that_is_cut_goes_on_where_it_was_cut(hub, repo, tmp_path) -> None:
    """Of what is written, that is: the library writes 10 MiB at a time."""
    repo.files[FILE] = DATA * 24
    hub.cut_after = [11 << 20]
    assert pulled(hub, tmp_path).read_bytes() == DATA * 24
    assert hub.ranges_asked() == [f"bytes={10 << 20}-"]


def test_a_transfer_that_was_stopped_goes_on_in_another_process(hub, tmp_path) -> None:
    def stop(_what, _done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulled(hub, tmp_path, stop)
    part = tmp_path / "org--tiny-GGUF" / f".{SHA256}.part"
    part.write_bytes(DATA[:123_456])  # As much as had been written.
    assert pulled(hub, tmp_path).read_bytes() == DATA
    assert hub.ranges_asked() == ["bytes=123456-"]
    assert left(tmp_path) == [FILE]


def test_a_hub_that_knows_no_ranges_sends_it_all_again(hub, tmp_path) -> None:
    hub.ranges = False
    part = tmp_path / "org--tiny-GGUF" / f".{SHA256}.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 1000)
    assert pulled(hub, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("size", [len(DATA), len(DATA) + 1])
def test_a_part_of_other_bytes_is_found_by_its_checksum(hub, tmp_path, size) -> None:
    part = tmp_path / "org--tiny-GGUF" / f".{SHA256}.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * size)
    if size > len(DATA):  # Longer than the file: begun anew.
        assert pulled(hub, tmp_path).read_bytes() == DATA
        return
    with pytest.raises(Refused, match=r"its SHA-256 is another\. It was deleted; pull it again"):
        pulled(hub, tmp_path)
    assert left(tmp_path) == []
    assert pulled(hub, tmp_path).read_bytes() == DATA


def test_attack24_what_is_not_what_the_hub_describes_gets_no_name(hub, repo, tmp_path) -> None:
    repo.says[FILE] = "0" * 64
    with pytest.raises(Refused, match="is not what the hub describes"):
        pulled(hub, tmp_path)
    assert left(tmp_path) == []


def test_without_a_checksum_nothing_is_fetched(hub, repo, tmp_path) -> None:
    repo.says[FILE] = "no hash"
    with pytest.raises(Invalid, match="does not say the checksum"):
        pulled(hub, tmp_path)


def test_another_file_of_that_name_is_left_alone(hub, tmp_path) -> None:
    mine = tmp_path / "org--tiny-GGUF" / FILE
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(Invalid, match="is another file, of an earlier revision"):
        pulled(hub, tmp_path)
    assert mine.read_bytes() == b"mine"


def test_the_token_opens_what_is_private_and_goes_to_nobody_else(hub, repo, tmp_path) -> None:
    repo.token = "hf_secret"
    for token in (None, "hf_wrong"):
        with pytest.raises(NotFound, match=r"has no repository org/tiny-GGUF.*set HF_TOKEN"):
            pulled(hub, tmp_path, token=token)
    with a_hub() as elsewhere:
        elsewhere.repos[NAME] = Repo(repo.files)
        hub.sends_elsewhere = elsewhere.url
        assert pulled(hub, tmp_path, token="hf_secret").read_bytes() == DATA
        assert [path for path, _ in elsewhere.asked] == [f"/{NAME}/resolve/{COMMIT}/{FILE}"]
        assert not any("authorization" in head for _, head in elsewhere.asked)


def test_what_goes_wrong_is_a_sentence_with_what_to_do(hub, repo, tmp_path) -> None:
    with pytest.raises(NotFound, match="has no such revision"):
        pulled(hub, tmp_path, revision="nosuch")
    repo.gated = True
    with pytest.raises(Refused, match="for those who accepted its terms: do so at http"):
        pulled(hub, tmp_path)
    hub.status = 500
    with pytest.raises(Refused, match=r"answered 500\. Try again later"):
        pulled(hub, tmp_path)
    hub.status = 401
    with pytest.raises(Refused, match=r"set HF_TOKEN|HF_TOKEN is not accepted"):
        pulled(hub, tmp_path)


def test_without_a_network_the_other_way_is_named(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # And nobody listens.
        nobody = Hub(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Refused, match="bring the file by other means and `keyhall models add`"):
            pulled(nobody, tmp_path)


def test_two_pulls_of_one_file_do_not_write_into_each_other(hub, tmp_path) -> None:
    def second(*_):
        with pytest.raises(Refused, match="Somebody is pulling the same file"):
            pulled(hub, tmp_path)

    assert pulled(hub, tmp_path, second).read_bytes() == DATA


def test_without_the_extra_it_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(Refused, match=r"pip install 'keyhall\[hub\]'"):
        pull.Hub(None, None)


def test_a_disk_without_room_is_told_before(hub, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pull, "SPARE_BYTES", 1 << 60)
    with pytest.raises(Refused, match="The disk has no room"):
        pulled(hub, tmp_path)


@pytest.mark.parametrize("name", ["../../evil.gguf", ".hidden.gguf", "a b.gguf", "-x.gguf"])
def test_attack24_a_hub_cannot_name_a_file_outside_its_folder(hub, repo, tmp_path, name) -> None:
    repo.files = {name: DATA}
    with pytest.raises(Refused, match=r"cannot be a file's name here|answered 404"):
        pulled(hub, tmp_path / "models")
    assert left(tmp_path) == []


# --- Which file -----------------------------------------------------------------------------------

MANY = [
    Listed(name, size * 10**8, SHA256)
    for name, size in (
        ("m-F16.gguf", 12),
        ("m-Q4_K_M.gguf", 4),
        ("m-UD-Q4_K_M.gguf", 4),
        ("m-Q8_0.gguf", 6),
        ("big/m-Q8_0-00001-of-00002.gguf", 6),
        ("mmproj-m.gguf", 1),
        ("m.imatrix.gguf", 1),
        ("README.md", 1),
    )
]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (None, "m-Q4_K_M.gguf"),
        ("q8_0", "m-Q8_0.gguf"),
        ("Q4_K_M", "m-Q4_K_M.gguf"),
        ("UD-Q4_K_M", "m-UD-Q4_K_M.gguf"),
        ("*f16*", "m-F16.gguf"),
        ("m-F16.gguf", "m-F16.gguf"),
    ],
)
def test_the_file_that_is_meant_is_found(pattern, name) -> None:
    assert choose("org/m", MANY, pattern).name == name


def test_if_several_could_be_meant_they_are_listed() -> None:
    with pytest.raises(Invalid, match="3 GGUF files; 3 match 'm-") as told:
        choose("org/m", [each for each in MANY if each.name != "m-Q4_K_M.gguf"], "m-*")
    assert "  m-UD-Q4_K_M.gguf    0.40 GB\n  m-Q8_0.gguf         0.60 GB" in str(told.value)
    with pytest.raises(NotFound, match="4 GGUF files; none of them matches 'Q2_K'"):
        choose("org/m", MANY, "Q2_K")
    with pytest.raises(NotFound, match="org/m has no GGUF file"):
        choose("org/m", MANY[-1:], None)
    with pytest.raises(Invalid, match="in several parts"):
        choose("org/m", MANY[4:5], None)
    with pytest.raises(Invalid, match=r"31 GGUF files(?s:.)*and 7 more"):
        choose("org/m", [Listed(f"m{number}.gguf", 1, "") for number in range(31)], None)


def test_a_repository_may_be_named_as_people_find_it() -> None:
    for text in (
        "Qwen/Qwen3-GGUF",
        "https://huggingface.co/Qwen/Qwen3-GGUF/",
        "hf.co/Qwen/Qwen3-GGUF",
    ):
        assert parse_repo(text) == ("Qwen/Qwen3-GGUF", None)
    assert parse_repo("Qwen/Qwen3-GGUF:Q8_0") == ("Qwen/Qwen3-GGUF", "Q8_0")
    for text in ("qwen", "a/b/c", "../x", "a/..", "https://example.org/a/b", "a/b?x"):
        with pytest.raises(Invalid, match="is no repository"):
            parse_repo(text)
