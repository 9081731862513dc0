"""The compose files as values: no password that works by itself, and nothing allowed in excess."""

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile import ROOT, stages
from hall_process import free_port

from keyhall.config import Server

FOLDER = ROOT / "deploy"
FILES = sorted(FOLDER.glob("compose*.yaml"))
SECRETS = re.compile("PASSWORD|PEPPER")
READY_SECONDS_MAX = 10

SERVICES = [
    pytest.param(path, name, service, id=f"{path.name}-{name}")
    for path in FILES
    for name, service in yaml.safe_load(path.read_text(encoding="utf-8"))["services"].items()
]
OURS = [each for each in SERVICES if each.values[1] in ("keyhall", "upgrade")]


def document(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return value


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_there_is_a_file_for_one_process_and_one_for_many() -> None:
    assert [path.name for path in FILES] == ["compose.scale.yaml", "compose.yaml"]
    assert list(document(FOLDER / "compose.yaml")["services"]) == ["keyhall"]


@pytest.mark.parametrize(("path", "name", "service"), SERVICES)
def test_nothing_is_allowed_that_is_not_needed(path: Path, name: str, service: Any) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    for place in service["tmpfs"]:
        assert "size=" in place
        assert "nosuid" in place
    user = service.get("user") or stages()[-1].last("USER").rest
    assert int(user.partition(":")[0]) > 0


@pytest.mark.parametrize(("path", "name", "service"), SERVICES)
def test_everything_has_a_bound(path: Path, name: str, service: Any) -> None:
    assert service["cpus"] > 0
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] > 0


@pytest.mark.parametrize(("path", "name", "service"), SERVICES)
def test_what_it_leans_on_exists(path: Path, name: str, service: Any) -> None:
    whole = document(path)
    for other, how in service.get("depends_on", {}).items():
        needed = whole["services"][other]
        if how["condition"] == "service_healthy":
            assert "healthcheck" in needed
        else:
            assert how["condition"] == "service_completed_successfully"
            assert needed["restart"] == "no"
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in whole["volumes"]
    for network in service.get("networks", []):
        assert network in whole["networks"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_keyhall_is_reached_from_outside_and_only_from_this_machine(path: Path) -> None:
    for name, service in document(path)["services"].items():
        if name == "keyhall":
            assert service["ports"] == [f"127.0.0.1:{Server().port}:{Server().port}"]
        else:
            assert "ports" not in service


def test_databases_have_no_way_out() -> None:
    whole = document(FOLDER / "compose.scale.yaml")
    assert whole["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "valkey"):
        assert whole["services"][name]["networks"] == ["inside"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_secret_has_no_default_and_its_absence_stops_the_start(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name, how in re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text):
        if SECRETS.search(name):
            assert how.startswith(":?"), name
        else:
            assert how.startswith(":-"), name
    for service in document(path)["services"].values():
        for name, value in service.get("environment", {}).items():
            if SECRETS.search(name):
                assert str(value).startswith("${"), name


def test_the_example_names_every_variable_and_fills_in_no_secret() -> None:
    """And the file that people make of it is kept out of git."""
    lines = (FOLDER / "env.example").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = set()
    for path in FILES:
        used |= set(re.findall(r"(?<!\$)\$\{(\w+)", path.read_text(encoding="utf-8")))
    assert set(given) == used
    assert not [name for name, value in given.items() if SECRETS.search(name) and value]
    assert "/deploy/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("path", "name", "service"), OURS)
def test_keyhall_runs_the_image_with_its_data_on_a_volume(
    path: Path, name: str, service: Any
) -> None:
    assert service["volumes"] == [f"data:{stages()[-1].environment['KEYHALL_DATA']}"]
    if name == "keyhall":
        assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
        assert (path.parent / service["build"]["context"] / "deploy/Dockerfile").exists()
        assert seconds(service["stop_grace_period"]) >= Server().grace_seconds + 10
        assert "healthcheck" not in service  # The image has one.


def test_the_addresses_name_the_services_beside() -> None:
    services = document(FOLDER / "compose.scale.yaml")["services"]
    given = services["keyhall"]["environment"]
    user = services["postgres"]["environment"]["POSTGRES_USER"]
    database = services["postgres"]["environment"]["POSTGRES_DB"]
    assert given["KEYHALL_DATABASE_URL"].startswith(f"postgresql://{user}:${{POSTGRES_PASSWORD:?")
    assert given["KEYHALL_DATABASE_URL"].endswith(f"@postgres:5432/{database}")
    assert given["KEYHALL_REDIS_URL"].startswith("redis://:${VALKEY_PASSWORD:?")
    assert given["KEYHALL_REDIS_URL"].endswith("@valkey:6379/0")


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server to stand for Valkey")
def test_valkeys_command_asks_for_the_password_and_shows_it_to_nobody(tmp_path: Path) -> None:
    """The command as it stands, with the server's older name, another port and another folder."""
    service = document(FOLDER / "compose.scale.yaml")["services"]["valkey"]
    port = free_port()
    script = service["command"][2].replace("$$", "$").replace("valkey-server", "redis-server")
    script = script.replace("--dir /tmp", f"--dir {tmp_path} --port {port}")
    ask = service["healthcheck"]["test"][1].replace("$$", "$")
    ask = ask.replace("valkey-cli", f"redis-cli -p {port}")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "VALKEY_PASSWORD": "3f9c"}
    command = [*service["command"][:2], script]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while subprocess.run(["sh", "-c", ask], env=environment).returncode != 0:
            assert time.monotonic() < deadline, "the health check does not pass"
            time.sleep(0.05)
        wrong = {**environment, "VALKEY_PASSWORD": "0000"}
        silent = {"env": wrong, "stderr": subprocess.DEVNULL}
        assert subprocess.run(["sh", "-c", ask], **silent).returncode != 0
        assert b"3f9c" not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    finally:
        server.terminate()
        assert server.wait(READY_SECONDS_MAX) == 0  # The server got the signal: it is process 1.
