"""`keyhall doctor` on healthy and ill folders."""

import os
import socket
import sqlite3
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from model_files import make_model

from keyhall import parts
from keyhall.cli import doctor, main
from keyhall.clock import SystemClock
from keyhall.config import Config
from keyhall.policy.catalogue import Price, Version
from keyhall.stores.catalogue import aim, enter_version


@pytest.fixture
def examine(call, house):
    """The findings of `keyhall doctor --json` by check, and its exit status."""

    def run(*arguments, environ=None, data=house.data, port=0):
        given = {"KEYHALL_SERVER_PORT": str(port), **(environ or {})}
        done = call("doctor", "--data", data, "--json", *arguments, environ=given)
        found = {}
        for finding in done.json["findings"]:
            found.setdefault(finding["check"], []).append(finding)
        assert done.json["ok"] == (done.status == 0)
        return found, done.status

    return run


def states(found):
    return {check: [each["state"] for each in findings] for check, findings in found.items()}


def test_a_folder_that_is_not_there_yet_is_fine_and_stays_so(examine, tmp_path):
    fresh = tmp_path / "fresh"
    found, status = examine(data=fresh)
    assert status == 0
    assert set(found) == {"clock", "disk", "permissions", "port", "tls", "store"}
    assert not fresh.exists()


def test_a_healthy_folder_is_all_well(examine):
    found, status = examine()
    assert status == 0
    assert {state for each in states(found).values() for state in each} == {"ok"}
    assert set(found) == {
        "clock",
        "disk",
        "permissions",
        "port",
        "tls",
        "store",
        "pepper",
        "engines",
        "versions",
    }


def test_people_get_a_line_per_check_with_its_advice_below(call, house):
    (house.data / "pepper").chmod(0o644)
    environ = {"KEYHALL_SERVER_PORT": "0"}
    lines = call("doctor", "--data", house.data, environ=environ).output.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("error"))
    assert lines[at] == f"error    permissions  Others may read {house.data}/pepper."
    assert lines[at + 1].strip() == f"chmod 600 {house.data}/pepper"


def test_a_port_that_is_taken_is_an_error_unless_our_server_has_it(examine, house):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found, status = examine(port=port)
        assert (states(found)["port"], status) == (["error"], 1)
        assert "Address already in use. Choose another" in found["port"][0]["says"]
        with parts.locked(house.data):
            found, status = examine(port=port)
        assert (states(found)["port"], status) == (["ok"], 0)
        assert f"our server runs (process {os.getpid()})" in found["port"][0]["says"]


def test_a_damaged_database_is_an_error(examine, house):
    house.database.write_bytes(b"nonsense" * 1000)
    found, status = examine()
    assert (states(found)["store"], status) == (["error"], 1)
    assert "Restore it from a backup" in found["store"][0]["says"]


def test_f8_doctor_looks_through_the_whole_file(examine, house):
    with sqlite3.connect(house.database) as connection:
        connection.execute("CREATE TABLE padding AS SELECT hex(randomblob(20000)) AS text")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with house.database.open("r+b") as file:
        file.seek(-4096, 2)
        file.write(b"\xa5" * 4096)
    found, status = examine()
    assert (states(found)["store"], status) == (["error"], 1)
    assert "Restore it from a backup" in found["store"][0]["says"]


def test_i8_a_spool_that_waits_is_told_and_what_becomes_of_it(examine, house):
    (house.data / "spool-1.bin").write_bytes(bytes(3 << 20))
    found, status = examine()
    assert (states(found)["usage"], status) == (["warning"], 0)
    [finding] = found["usage"]
    assert finding["says"] == "3.0 MiB of usage wait for the database, in spool-1.bin."
    assert finding["advice"] == "The next `keyhall serve` takes them in. Do not delete them."
    with parts.locked(house.data):
        [finding] = examine()[0]["usage"]
    assert finding["advice"].endswith("they come in by themselves.")


def test_usage_that_could_not_be_read_is_told(examine, house):
    for name in ("spool-1", "journal-1"):
        (house.data / f"{name}.bin.damaged-1800000000000000").touch()
    [finding] = examine()[0]["usage"]
    assert finding["says"] == (
        "Part of journal-1.bin.damaged-1800000000000000, spool-1.bin.damaged-1800000000000000 "
        "could not be read: nobody was charged for it."
    )


@pytest.mark.parametrize("ill", ["missing", "another", "damaged"])
def test_a_pepper_that_is_not_the_keys_own_is_an_error(examine, house, ill):
    pepper = house.data / "pepper"
    if ill == "missing":
        pepper.unlink()
    else:
        pepper.write_text(f"{'ab' * 32 if ill == 'another' else 'nonsense'}\n")
    found, status = examine()
    assert (states(found)["pepper"], status) == (["error"], 1)
    assert pepper.exists() == (ill != "missing")


@pytest.mark.parametrize("name", ["pepper", "keyhall.db"])
def test_a_secret_that_others_may_read_is_an_error(examine, house, name):
    (house.data / name).chmod(0o640)
    found, status = examine()
    assert status == 1
    assert found["permissions"][0]["advice"] == f"chmod 600 {house.data / name}"


def test_a_data_folder_that_is_a_file_is_an_error(examine, tmp_path):
    file = tmp_path / "file"
    file.touch()
    found, status = examine(data=file / "in")
    assert (found["permissions"][0]["says"], status) == (f"{file} is no folder.", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_an_error(examine, house):
    house.data.chmod(0o500)
    found, status = examine()
    house.data.chmod(0o700)
    assert (states(found)["permissions"], status) == (["error"], 1)


def test_an_engine_that_cannot_be_reached_is_an_error(examine):
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    found, status = examine(environ=environ)
    assert (states(found)["engines"], status) == (["ok", "error"], 1)
    assert found["engines"][1]["says"].startswith("upstream: no connection")


def test_an_engine_that_refuses_is_told_in_the_operators_words(examine):
    """Not in those that a caller gets, which say who pays."""

    def serve(listener):
        with listener, listener.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}")

    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    found, status = examine(environ={"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": address})
    thread.join()
    assert (states(found)["engines"], status) == (["ok", "error"], 1)
    assert found["engines"][1]["says"] == "upstream: the engine refused Keyhall's credentials."


def test_an_engine_that_may_not_be_called_is_a_warning(examine):
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://169.254.169.254/v1"}
    found, status = examine(environ=environ)
    assert (states(found)["engines"], status) == (["warning", "ok"], 0)
    assert found["engines"][0]["says"].startswith("Engine upstream is left out: ")


def test_an_engine_whose_key_this_shell_lacks_is_not_asked(examine, call, house):
    """The server may well have it: only that it is not here is known."""
    call("engines", "add", "vllm", "--url", "http://127.0.0.1:1/v1", "--key-env", "VLLM_KEY",
         "--data", house.data)  # fmt: skip
    found, status = examine()
    assert (states(found)["engines"], status) == (["ok", "warning"], 0)
    says = found["engines"][1]["says"]
    assert says == "vllm was not asked: VLLM_KEY is not set in this shell."
    found, status = examine(environ={"VLLM_KEY": "sk-1"})
    assert (states(found)["engines"], status) == (["ok", "error"], 1)


def test_versions_of_an_engine_that_only_the_server_may_have_are_a_warning(examine, house):
    async def offered(store):
        async with store.writing() as connection:
            version = Version(0, "gpt-openai-1", "openai", "gpt", house.now_us, price=Price(1, 1))
            await enter_version(connection, version, house.actor, house.now_us)
            await aim(connection, "gpt", "gpt-openai-1", house.actor, house.now_us)

    house.run(offered)
    found, status = examine()
    assert (states(found)["versions"], status) == (["warning"], 0)
    assert found["versions"][0]["says"] == (
        "This shell's environment makes no engine openai for gpt-openai-1 (gpt)."
    )
    assert "it needs OPENAI_API_KEY" in found["versions"][0]["advice"]


def test_a23_an_engine_at_the_servers_own_address_is_a_warning(examine, call, house):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://localhost:{port}/v1"
    assert call("engines", "add", "self", "--url", url, "--data", house.data).status == 0
    found, status = examine(port=port)
    assert (states(found)["engines"], status) == (["warning", "ok"], 0)
    says = f"Engine self is left out: {url} is this server's own address."
    assert found["engines"][0]["says"] == says


def test_versions_without_a_price_or_an_engine_are_warnings_in_one_line_each(examine, call, house):
    def keyhall(*arguments):
        assert call(*arguments, "--data", house.data).status == 0

    keyhall("engines", "add", "vllm", "--url", "http://127.0.0.1:1/v1")
    for number in range(5):
        keyhall("versions", "add", f"house-{number}", "--engine", "vllm", "--engine-model", "m")
    with sqlite3.connect(house.database) as connection:
        connection.execute("DELETE FROM engines")
    connection.close()
    found, status = examine()
    assert status == 0
    assert states(found)["versions"] == states(found)["prices"] == ["warning"]
    assert found["versions"][0]["says"] == (
        "There is no engine vllm for house-0, house-1, house-2 and 2 more."
    )
    assert "No price for house-0, house-1, house-2 and 2 more" in found["prices"][0]["says"]


@pytest.mark.parametrize(
    ("days", "state", "says"),
    [(90, "ok", "is good"), (5, "warning", "ends"), (-5, "error", "ended")],
)
def test_a_certificate_is_told_of_before_it_ends(examine, certificate, days, state, says):
    cert, key = certificate(days=days)
    environ = {"KEYHALL_SERVER_TLS_CERT": str(cert), "KEYHALL_SERVER_TLS_KEY": str(key)}
    found, status = examine(environ=environ)
    assert (states(found)["tls"], status) == ([state], 1 if state == "error" else 0)
    assert says in found["tls"][0]["says"]


def test_a_certificate_that_cannot_be_used_is_an_error(examine, certificate):
    cert, _ = certificate()
    environ = {"KEYHALL_SERVER_TLS_CERT": str(cert), "KEYHALL_SERVER_TLS_KEY": str(cert)}
    found, status = examine(environ=environ)
    assert (states(found)["tls"], status) == (["error"], 1)


@pytest.mark.parametrize(
    ("free", "state"), [(1 << 40, "ok"), (1 << 29, "warning"), (1 << 20, "error")]
)
def test_a_disk_that_fills_is_told_in_time(monkeypatch, tmp_path, free, state):
    class Usage:
        def __init__(self):
            self.free = free

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage())
    assert doctor.disk(Config(data=tmp_path)).state == state


def test_a_clock_in_the_past_is_an_error(monkeypatch, tmp_path):
    assert doctor.clock(Config(data=tmp_path)).state == "ok"
    monkeypatch.setattr(SystemClock, "now_us", lambda _self: 1_000_000_000_000_000)
    found = doctor.clock(Config(data=tmp_path))
    assert (found.state, found.says) == ("error", "It says 2001-09-09 01:46:40 UTC.")


@pytest.mark.parametrize(("no_color", "is_colored"), [("1", False), ("", True)])
def test_no_color_is_heeded_on_a_terminal(house, no_color, is_colored):
    environ = {"KEYHALL_SERVER_PORT": "0", "NO_COLOR": no_color}
    arguments = ["doctor", "--data", str(house.data)]
    done = CliRunner().invoke(main, arguments, env=environ, color=True)
    assert ("\x1b[" in done.stdout) == is_colored


def test_models_whose_files_are_not_what_was_added_are_found(examine, call, house, tmp_path):
    paths = {name: make_model(tmp_path / f"{name}.gguf") for name in ("good", "gone", "cut")}
    for path in paths.values():
        call("models", "add", path, "--data", house.data)
    paths["gone"].unlink()
    paths["cut"].write_bytes(b"GGUF")
    found, status = examine()
    assert status == 1
    files = [each for each in found["models"] if ".gguf" in each["says"]]
    assert [(each["state"], each["says"].rpartition(".gguf ")[2]) for each in files] == [
        ("error", "has another size than was pinned."),
        ("error", "is missing."),
        ("ok", "is there, of the same size and time"),
    ]


@pytest.mark.parametrize("is_there", [True, False])
def test_models_need_their_engine_installed(examine, call, house, tmp_path, monkeypatch, is_there):
    monkeypatch.setattr(doctor.process, "can_run", lambda: is_there)
    call("models", "add", make_model(tmp_path / "tiny.gguf"), "--data", house.data)
    found, _ = examine()
    told = [each for each in found["models"] if each["state"] == "error"]
    assert bool(told) != is_there
    if told:
        assert told[0]["says"] == "What runs tiny is not installed."
        assert "pip install 'keyhall[local]'" in told[0]["advice"]
