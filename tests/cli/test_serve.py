"""`keyhall serve` as an operator meets it: what it prints, how it refuses, how it ends."""

import json
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai
import pytest
from hall_process import Premises
from openai import OpenAI
from patience import PATIENCE_SECONDS, stretched

from keyhall.cli import serve
from keyhall.config import Server

HELLO = [{"role": "user", "content": "Hello"}]


class Running:
    """A server in a process of its own, and what it printed."""

    def __init__(self, premises, *arguments, environ=None, config=""):
        premises.config.write_text(config)
        self._out = premises.data.parent / f"out-{time.monotonic_ns()}"
        self._err = self._out.with_suffix(".err")
        command = [sys.executable, "-m", "keyhall", "serve", "--port", "0", *map(str, arguments)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, env=premises.environment(environ), stdout=out, stderr=err
            )

    def wait(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Stop with Ctrl-C." not in self.output:
            assert self.process.poll() is None, self.output + self.errors
            assert time.monotonic() < deadline, self.output + self.errors
            time.sleep(0.01)
        return self

    @property
    def output(self):
        return self._out.read_text()

    @property
    def errors(self):
        return self._err.read_text()

    @property
    def events(self):
        return [json.loads(line) for line in self.errors.splitlines()]

    @property
    def url(self):
        return re.search(r"is open at (\S+)", self.output)[1]

    def until(self, event):
        """Two signals at once would be one: wait until the server has said so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while f'"event":"{event}"' not in self.errors:
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running(premises, *arguments, **more) -> Iterator[Running]:
    """A running server, ended with the block at the latest."""
    server = Running(premises, *arguments, **more)
    try:
        yield server.wait()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def lived_in_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lived-in")
    return folder, Premises(folder).make_key()["key"]


@pytest.fixture
def lived_in(lived_in_once, premises):
    """Premises that are not new, and a key of theirs."""
    folder, key = lived_in_once
    shutil.copytree(folder / "data", premises.data)
    return premises, key


@contextmanager
def client_of(server, key, **more):
    with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, **more) as client:
        yield client


def ask(server, key, **more):
    with client_of(server, key, **more) as client:
        return client.chat.completions.create(model="v1", messages=HELLO, max_tokens=5)


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)


# --- What it prints -------------------------------------------------------------------------------


def test_r15_the_first_start_prints_a_key_that_works_and_later_ones_do_not(premises):
    with running(premises) as server:
        key = re.search(r"^  (sk-kh_live_\w+)$", server.output, re.MULTILINE)[1]
        assert server.output.count(key) == 3  # The key, curl, Python.
        assert ask(server, key).usage.completion_tokens == 5
        pasted_examples_work(server.output)

        second = premises.run("serve", "--port", "0", check=False)
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"Error: A Keyhall server (process {server.process.pid}) already runs on "
            f"{premises.data}. Stop it first, or choose another folder with --data.\n"
        )

        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < stretched(5)
        assert [event["event"] for event in server.events] == ["started", "stopping", "stopped"]
        assert key not in server.errors
    with running(premises) as server:
        assert key not in server.output
        assert f"Keys: {key.rpartition('_')[0][:-9]}...{key[-4:]}" in server.output
        assert "Another key: python -m keyhall keys create --name NAME\n" in server.output
        assert ask(server, key).usage.completion_tokens == 5
        assert server.stop(signal.SIGINT) == 0


def pasted_examples_work(output):
    """curl and Python, exactly as they stand there."""
    curl = re.search(r"^  (curl .*?)\n\n", output, re.MULTILINE | re.DOTALL)[1]
    done = subprocess.run(["sh", "-c", curl], capture_output=True, check=True, timeout=30)
    assert json.loads(done.stdout)["object"] == "chat.completion"
    python = re.search(r"openai\):\n\n(.*?)\n\nv1 answers", output, re.DOTALL)[1]
    code = "\n".join(line.removeprefix("  ") for line in python.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert "sandbox" in done.stdout


def test_r26_listening_beyond_loopback_without_tls_warns(lived_in, tmp_path):
    """And a folder that commands would not find by themselves is named in the hint."""
    premises, _ = lived_in
    data = premises.data.rename(tmp_path / "another folder")
    with running(premises, "--host", "0.0.0.0", "--data", data) as server:
        assert "Listening on 0.0.0.0 without TLS: keys and conversations cross" in server.output
        assert server.url.startswith("http://127.0.0.1:")
        assert get(f"{server.url}/healthz")["status"] == "ok"
        assert f"keys create --name NAME --data '{data}'\n" in server.output


def test_after_a_kill_the_next_start_says_what_it_found(lived_in):
    premises, key = lived_in
    with running(premises, config=SLOW) as server, client_of(server, key) as client:
        events = iter(
            client.chat.completions.create(
                model="sandbox/long", messages=HELLO, max_tokens=1000, stream=True
            )
        )
        next(events)
        server.process.kill()
        server.process.wait()
        with pytest.raises((openai.APIError, httpx2.HTTPError)):
            list(events)
    with running(premises) as server:
        assert (
            "The last run ended suddenly: 1 of its requests is now recorded; it was still "
            "running.\n" in server.output
        )


# --- Where it listens -----------------------------------------------------------------------------


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_listened_on_and_written_in_brackets(lived_in):
    premises, key = lived_in
    with running(premises, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert ask(server, key).usage.completion_tokens == 5
        assert get(f"{server.url}/readyz")["parts"]["store"] == "ok"
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE_SECONDS) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (Server(), "http://127.0.0.1:9"),
        (Server(host="0.0.0.0"), "http://127.0.0.1:9"),
        (Server(host="::"), "http://[::1]:9"),
        (Server(host="localhost"), "http://localhost:9"),
        (Server(tls_cert="a", tls_key="b"), "https://127.0.0.1:9"),
        (Server(url="https://keys.example.org/"), "https://keys.example.org"),
    ],
)
def test_the_address_that_people_use(server, url):
    assert serve.url_of(server, 9) == url


def test_as_many_files_may_be_open_as_the_system_allows():
    def lower():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    code = (
        "import resource; from keyhall.cli.serve import raise_file_limit; raise_file_limit();"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=lower, capture_output=True, text=True, check=True
    )
    soft, hard = map(int, done.stdout.split())
    assert soft == (min(hard, serve.OPEN_FILES_WANTED) if hard > 0 else serve.OPEN_FILES_WANTED)


# --- TLS ------------------------------------------------------------------------------------------


def test_r26_the_official_client_talks_tls_with_a_certificate_it_trusts(lived_in, certificate):
    premises, key = lived_in
    cert, private = certificate(days=5)
    with running(premises, "--tls-cert", cert, "--tls-key", private) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert "without TLS" not in server.output
        assert f"The certificate {cert} ends in 5 days." in server.output
        trusted = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(verify=trusted) as http:
            assert ask(server, key, http_client=http).usage.completion_tokens == 5
        with (
            httpx2.Client(verify=trusted) as http,
            client_of(server, key, http_client=http) as client,
        ):
            stream = client.chat.completions.create(
                model="v1",
                messages=HELLO,
                max_tokens=5,
                stream=True,
                stream_options={"include_usage": True},
            )
            assert list(stream)[-1].usage.completion_tokens == 5
        with pytest.raises(openai.APIConnectionError):
            ask(server, key)  # Without trust there is no talk.
        assert plain_answer(server) == b""
        assert server.stop() == 0


VERSION = ssl.TLSVersion
SPOKEN = [
    (VERSION.TLSv1_3, "DEFAULT", "TLSv1.3"),
    (VERSION.TLSv1_2, "DEFAULT", "TLSv1.2"),
    (VERSION.TLSv1_2, "ECDHE+CHACHA20", "TLSv1.2"),
    (VERSION.TLSv1_2, "ECDHE+AES:!AESGCM:!AESCCM", None),  # CBC
    (VERSION.TLSv1_2, "kRSA", None),  # no forward secrecy
    (VERSION.TLSv1_1, "DEFAULT:@SECLEVEL=0", None),
]


def test_tls_is_spoken_in_recommended_versions_and_suites_only(lived_in, certificate):
    premises, _ = lived_in
    cert, private = certificate()
    with running(premises, "--tls-cert", cert, "--tls-key", private) as server:
        assert [spoken(server, version, suites) for version, suites, _ in SPOKEN] == [
            expected for _, _, expected in SPOKEN
        ]


def spoken(server, version, suites):
    """The version that is agreed on with a client of one version and some suites; None if none."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers(suites)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # That it is old is the point.
        client.minimum_version = client.maximum_version = version
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        try:
            with client.wrap_socket(line) as inside:
                return inside.version()
        except (ssl.SSLError, ConnectionError):
            return None


def plain_answer(server):
    """What somebody gets who talks HTTP to the port of HTTPS."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            return line.recv(1000)
        except ConnectionError:
            return b""


# --- How it refuses -------------------------------------------------------------------------------


def test_a_mistake_in_the_settings_is_told_in_a_line_each_and_status_1(call, tmp_path):
    config = tmp_path / "keyhall.toml"
    config.write_text("[sever]\n")
    done = call("serve", "--config", config, "--port", "99999")
    assert done.status == 1
    assert done.error == (
        "Error: [sever] is not a section; did you mean server?\n"
        "--port is 99999; expected a whole number from 0 to 65535.\n"
    )


def test_tls_with_half_of_a_pair_is_refused(call, certificate, tmp_path):
    cert, _ = certificate()
    done = call("serve", "--tls-cert", cert, "--data", tmp_path)
    assert (done.status, done.error) == (
        1,
        "Error: TLS needs both a certificate and its key: --tls-cert, --tls-key.\n",
    )
    done = call("serve", "--tls-cert", cert, "--tls-key", cert, "--data", tmp_path)
    assert done.status == 1
    assert "are no certificate with its key in PEM form" in done.error


def test_a_port_that_is_taken_is_refused_with_what_to_do(call, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = call("serve", "--port", port, "--data", tmp_path)
    assert (done.status, done.error) == (
        1,
        f"Error: Cannot listen on 127.0.0.1 port {port}: Address already in use. Choose another "
        "with --port; `ss -ltnp` lists what uses it now.\n",
    )


@pytest.mark.parametrize("host", ["203.0.113.1", "nowhere.invalid"])
def test_an_address_that_is_not_ours_is_refused(call, tmp_path, host):
    done = call("serve", "--host", host, "--port", 0, "--data", tmp_path)
    assert done.status == 1
    assert done.error.startswith(f"Error: Cannot listen on {host} port 0: ")
    assert done.error.endswith("Choose another address with --host.\n")


def test_a_low_port_without_the_right_to_it_is_told():
    said = serve.why_not_listening(PermissionError(13, "Permission denied"))
    assert said == "Permission denied. Low ports belong to the system: choose one from 1024 on."


# --- How it ends ----------------------------------------------------------------------------------

SLOW = "[server]\ngrace_seconds = 1\n[sandbox]\ntokens_per_second = 20\n"
STOPPED = 5  # the outcome in the ledger


@contextmanager
def streaming(server, key, tokens):
    """The events of a running answer, of which the first has come."""
    with client_of(server, key) as client:
        events = iter(
            client.chat.completions.create(
                model="sandbox/long", messages=HELLO, max_tokens=tokens, stream=True
            )
        )
        next(events)
        yield events


def test_i18_a_running_answer_ends_in_peace_and_nothing_new_begins(lived_in):
    premises, key = lived_in
    slow = SLOW.replace("grace_seconds = 1", "grace_seconds = 30")
    with running(premises, config=slow) as server, streaming(server, key, 20) as events:
        server.process.send_signal(signal.SIGTERM)
        assert list(events)[-1].choices[0].finish_reason == "length"
        assert server.process.wait(PATIENCE_SECONDS) == 0
        stopping = next(event for event in server.events if event["event"] == "stopping")
        assert (stopping["open"], stopping["grace"]) == (1, 30)
        with pytest.raises(openai.APIConnectionError):
            ask(server, key)


def test_i18_what_outlives_the_grace_is_cut_told_so_and_recorded(lived_in):
    premises, key = lived_in
    with running(premises, config=SLOW) as server, streaming(server, key, 1000) as events:
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(openai.APIError, match="It is shutting down"):
            list(events)
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert "grace_over" in [event["event"] for event in server.events]
    (used,) = premises.usage()
    assert used["outcome"] == STOPPED
    assert 0 < used["output_tokens"] < 100


def test_i18_a_second_ctrl_c_does_not_wait(lived_in):
    premises, key = lived_in
    slow = SLOW.replace("grace_seconds = 1", "grace_seconds = 300")
    with running(premises, config=slow) as server, streaming(server, key, 1000) as events:
        server.process.send_signal(signal.SIGINT)
        server.until("stopping")
        assert server.stop(signal.SIGINT) == 0
        with pytest.raises(openai.APIError):
            list(events)
    (used,) = premises.usage()
    assert used["outcome"] == STOPPED


# --- Tiers of the settings ------------------------------------------------------------------------


def test_r10_a_tier_of_the_settings_holds_for_the_keys_that_name_it(lived_in):
    premises, _ = lived_in
    config = "[tiers.tiny]\nlimits = { requests_per_minute = 1 }\ndefault_output = 7\n"
    with running(premises, config=config) as server:
        key = premises.make_key("app", "--tier", "tiny")["key"]
        with client_of(server, key) as client:
            answers = client.chat.completions.with_raw_response
            answer = answers.create(model="v1", messages=HELLO)
            assert answer.headers["x-keyhall-output-cap"] == "7"
            assert answer.headers["x-ratelimit-limit-requests"] == "1"
            with pytest.raises(openai.RateLimitError):
                answers.create(model="v1", messages=HELLO)
