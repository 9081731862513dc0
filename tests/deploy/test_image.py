"""The image's instructions are followed and run: on this machine's own system instead of the base
image, for there is no container daemon here, but with every line of the Dockerfile as it stands."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box, Image, build, why_no_box
from dockerfile import ROOT, stages
from hall_process import Premises, Process, free_port
from patience import PATIENCE_SECONDS

from keyhall import __version__

needs_a_box = pytest.mark.skipif(bool(why_no_box()), reason=why_no_box())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if os.geteuid() != 0:
        pytest.skip("the image's user has a number of its own, which only root can give a process")
    return build(stages(), tmp_path_factory.mktemp("image"))


@pytest.fixture
def data(tmp_path: Path, image: Image) -> Path:
    """A volume: it begins with the owner and mode that the image gives its folder."""
    given = (image.box.root / "data").stat()
    folder = tmp_path / "volume"
    folder.mkdir(mode=given.st_mode & 0o7777)
    os.chown(folder, given.st_uid, given.st_gid)
    return folder


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def served(image: Image, data: Path, port: int, tmp_path: Path) -> Iterator[Process]:
    process = start(
        image.command(image.serve(), data, KEYHALL_SERVER_PORT=str(port)), port, tmp_path
    )
    yield process
    process.end()


def start(command: list[str], port: int, folder: Path) -> Process:
    log = folder / "serve.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    process = Process(popen, port, log)
    try:
        process.wait_until_ready()
    except BaseException:
        process.end()
        raise
    return process


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs_a_box
@pytest.mark.slow
def test_the_image_says_its_version(image: Image, data: Path) -> None:
    done = run(image.command(["keyhall", "--version"], data))
    assert __version__ in done.stdout, done.stderr


@needs_a_box
@pytest.mark.slow
def test_the_image_holds_what_runs_and_nothing_that_made_it(image: Image) -> None:
    assert not (image.box.root / "opt" / "build").exists()
    made = image.box.root / "opt" / "keyhall"
    assert (made / "bin" / "keyhall").exists()
    assert not list(made.rglob("site-packages/pip"))
    assert not list(made.rglob("site-packages/hatchling"))
    assert not list((image.box.root / "data").iterdir())


@needs_a_box
@pytest.mark.slow
def test_the_image_serves_as_nobody_with_nothing_writable_but_its_data(
    image: Image, served: Process, data: Path, port: int
) -> None:
    status = Path(f"/proc/{served.pid}/status").read_text()
    uid, _, _ = image.stage.last("USER").rest.partition(":")
    assert f"Uid:\t{uid}\t{uid}" in status
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    refused = run(image.command(["touch", "/opt/keyhall/new"], data))
    assert "Read-only file system" in refused.stderr
    made = run(image.command(["keyhall", "keys", "create", "--name", "one", "--json"], data))
    key = json.loads(made.stdout)["key"]
    assert answer_of(port, key)
    assert served.stop() == 0, served.log.read_text()
    assert {path.stat().st_uid for path in data.iterdir()} == {int(uid)}


@needs_a_box
@pytest.mark.slow
def test_the_health_check_tells_a_server_from_none(
    image: Image, served: Process, data: Path, port: int
) -> None:
    ask = image.command(image.healthcheck(), data, KEYHALL_SERVER_PORT=str(port))
    assert run(ask).returncode == 0, run(ask).stderr
    served.kill()
    assert run(ask).returncode == 1
    assert "no answer" in run(ask).stderr


@needs_a_box
@pytest.mark.slow
def test_r17_the_next_container_on_the_volume_goes_on(
    image: Image, served: Process, data: Path, port: int, tmp_path: Path
) -> None:
    made = run(image.command(["keyhall", "keys", "create", "--name", "one", "--json"], data))
    key = json.loads(made.stdout)["key"]
    served.kill()
    again = start(image.command(image.serve(), data, KEYHALL_SERVER_PORT=str(port)), port, tmp_path)
    try:
        assert answer_of(port, key)
        assert again.stop() == 0
    finally:
        again.end()


@needs_a_box
def test_a_server_writes_nothing_but_its_data(tmp_path: Path) -> None:
    """The same with the programs of this checkout, at once: everything else is read-only, the
    working folder and the home among it."""
    data = tmp_path / "volume"
    data.mkdir(mode=0o700)
    box = Box(tmp_path / "box", binds=[ROOT / "src", Path(sys.prefix)])
    port = free_port()
    settings = {"PATH": "/usr/bin", "HOME": "/home", "KEYHALL_DATA": "/data"}
    command = [sys.executable, "-m", "keyhall", "serve", "--port", str(port)]
    process = start(box.command(command, settings, "/home", data), port, tmp_path)
    try:
        assert process.stop() == 0, process.log.read_text()
    finally:
        process.end()
    assert (data / "keyhall.db").exists()
    assert not list((box.root / "home").iterdir())


@pytest.mark.parametrize("is_there", [True, False])
def test_the_health_check_runs_on_any_python(is_there: bool, keyhall_server: object) -> None:
    port = int(keyhall_server.root_url.rpartition(":")[2]) if is_there else free_port()
    command = [sys.executable, "-I", str(ROOT / "deploy" / "healthcheck.py")]
    done = subprocess.run(command, env={"KEYHALL_SERVER_PORT": str(port)}, capture_output=True)
    assert done.returncode == (0 if is_there else 1), done.stderr


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl to make a certificate")
def test_the_health_check_asks_over_tls_where_the_server_does(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=keyhall"]
    made = [*make, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(made, check=True, capture_output=True)
    premises = Premises(tmp_path)
    settings = {
        "KEYHALL_SERVER_TLS_CERT": str(cert),
        "KEYHALL_SERVER_TLS_KEY": str(key),
        "KEYHALL_SERVER_PORT": str(premises.port),
    }
    process = premises.spawn(environ=settings)
    ask = [sys.executable, "-I", str(ROOT / "deploy" / "healthcheck.py")]
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(ask, env=settings, capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.1)
    finally:
        process.end()


def answer_of(port: int, key: str) -> str:
    body = {"model": "v1", "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        said: str = json.load(answer)["choices"][0]["message"]["content"]
        return said
