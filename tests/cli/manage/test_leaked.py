"""`keyhall keys leaked`: keys in files, whose they are, and their end."""

import io
import json
import subprocess
import sys

import pytest

from keyhall.flows.leaks.scan import PIECE_BYTES, Scan
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.keys import mint


def text_of(number: int) -> str:
    import hashlib

    return mint("live", hashlib.shake_256(b"%d" % number).digest(128)).text.reveal()


def scanned(data: bytes) -> Scan:
    scan = Scan()
    scan.read("log", io.BytesIO(data), len(data), lambda _what, _done, _total: None)
    return scan


def test_keys_in_a_file_are_named_with_their_owner_and_line(keyhall, tmp_path) -> None:
    made = keyhall.json("keys", "create", "--name", "app")
    file = tmp_path / "app.log"
    file.write_text(f"one\ntwo\nkey={made['key']}\nand {made['key']}, {text_of(1)}\n")
    said = keyhall("keys", "leaked", str(file), status=1)
    assert f"{file}:3" in said
    assert made["id"] in said
    assert "app" in said
    assert "unknown" in said
    assert "1 key not revoked: --revoke ends them." in said
    assert made["key"] not in said, "no key is printed whole"
    assert text_of(1) not in said


def test_revoke_ends_them_with_the_file_as_evidence(keyhall, tmp_path) -> None:
    made = keyhall.json("keys", "create", "--name", "app", "--test")
    file = tmp_path / "app.log"
    file.write_text(made["key"])
    told = keyhall.json("keys", "leaked", str(file), "--revoke")
    (line,) = told["keys"]
    assert (line["id"], line["state"], line["revoked_now"]) == (made["id"], "revoked", True)
    assert (line["file"], line["line"], line["count"]) == (str(file), 1, 1)
    assert told["scanned_bytes"] == len(made["key"])
    assert keyhall.json("keys", "show", "app")["revoked_reason"] == "leaked"
    (seen,) = keyhall.json("audit", "--action", "key.leaked")
    assert f"{file}:1" in json.dumps(seen)
    again = keyhall.json("keys", "leaked", str(file), "--revoke")
    assert again["keys"][0]["revoked_now"] is False


def test_nothing_found_is_said_and_is_no_failure(keyhall, tmp_path) -> None:
    file = tmp_path / "clean"
    file.write_bytes(b"nothing here")
    assert "No keys in 12 bytes." in keyhall("keys", "leaked", str(file))


def test_a_file_that_is_not_there_is_a_sentence(keyhall, tmp_path) -> None:
    said = keyhall("keys", "leaked", str(tmp_path / "gone"), status=1)
    assert "No such file or directory." in said


@pytest.mark.parametrize("cut", [-80, -73, -72, -40, -1, 0, 1])
def test_a_key_across_two_pieces_is_found_once(cut) -> None:
    text = text_of(0).encode()
    data = b"\n" * (PIECE_BYTES + cut) + text + b"\n" * PIECE_BYTES + text
    (seen,) = scanned(data).found.values()
    assert (seen.text.encode(), seen.line, seen.count) == (text, PIECE_BYTES + cut + 1, 2)


def test_what_goes_on_in_the_next_piece_is_no_key() -> None:
    text = text_of(0).encode()
    data = b" " * (PIECE_BYTES - len(text)) + text + b"xyz"
    assert scanned(data).found == {}


def test_a_flood_of_keys_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("keyhall.flows.leaks.scan.KEYS_MAX", 3)
    with pytest.raises(Invalid, match="More than 3 keys"):
        scanned(" ".join(text_of(number) for number in range(4)).encode())


# --- Notices --------------------------------------------------------------------------------------


def test_notices_are_listed_with_who_was_told_and_closed(keyhall, tmp_path) -> None:
    assert "No key leaked or wanders" in keyhall("keys", "notices")
    made = keyhall.json("keys", "create", "--name", "app")
    file = tmp_path / "app.log"
    file.write_text(made["key"])
    keyhall("keys", "leaked", str(file), "--revoke")
    said = keyhall("keys", "notices")
    assert made["id"] in said
    assert f"{file}:1" in said
    assert "not yet" in said
    (told,) = keyhall.json("keys", "notices")
    assert (told["number"], told["kind"], told["facts"]["by"]) == (1, "leaked", "operator")
    assert "not expected to leak" in keyhall("keys", "notices", "--expect", "1", status=1)
    assert keyhall.json("keys", "notices", "--close", "1") == []
    assert "already" in keyhall("keys", "notices", "--close", "1", status=1)
    assert "no notice 2" in keyhall("keys", "notices", "--close", "2", status=1)
    assert "leaked, closed" in keyhall("keys", "notices", "--all")
    assert "Either" in keyhall("keys", "notices", "--close", "1", "--expect", "1", status=2)


def test_standard_input_is_read(keyhall) -> None:
    made = keyhall.json("keys", "create", "--name", "app")
    done = subprocess.run(
        [sys.executable, "-m", "keyhall", "keys", "leaked", "-", "--data", str(keyhall.data)],
        input=f"x {made['key']}\n".encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert b"-:1" in done.stdout
    assert made["key"].encode() not in done.stdout
