"""The proxy itself: each toxic does what toxiproxy's of the same name does, while it is set."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from cpu_time import least_of
from fault_proxy import (
    WAYS,
    Bandwidth,
    Down,
    FaultProxy,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
    Way,
)
from patience import PATIENCE_SECONDS

TEXT = b"The quick brown fox jumps over the lazy dog." * 10


class Echo:
    """Says what it hears, and closes when its client has said all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.pieces: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.pieces.append(data)
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", echo.port, seed=7) as running:
        yield running


@pytest.fixture
def connect(proxy: FaultProxy) -> Iterator[Callable[[], socket.socket]]:
    opened = []

    def make() -> socket.socket:
        made = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_SECONDS)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


def ask(client: socket.socket, data: bytes = TEXT) -> bytes:
    """Say this and read as much; less if the connection ends before."""
    client.sendall(data)
    return read(client, len(data))


def read(client: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (piece := client.recv(size - len(got))):
        got += piece
    return got


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def test_without_a_toxic_everything_passes_and_an_end_is_an_end(connect):
    client = connect()
    assert ask(client) == TEXT
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


@pytest.mark.parametrize("way", WAYS)
def test_latency_comes_with_its_jitter_and_goes_while_the_connection_is_open(proxy, connect, way):
    client = connect()
    with proxy.toxic(way, Latency(0.1, jitter=0.02)):
        assert seconds_of(lambda: ask(client, b"x")) >= 0.08
    assert least_of(lambda: seconds_of(lambda: ask(client, b"x")), 0.08) < 0.08


@pytest.mark.parametrize("way", WAYS)
def test_bandwidth_takes_as_long_as_the_bytes_need(proxy, connect, way):
    client = connect()
    with proxy.toxic(way, Bandwidth(2_000)):
        assert seconds_of(lambda: ask(client)) >= 0.2


def test_slow_close_keeps_a_connection_half_open(proxy, connect):
    client = connect()
    assert ask(client) == TEXT
    with proxy.toxic("upstream", SlowClose(0.15)):
        client.shutdown(socket.SHUT_WR)
        assert seconds_of(lambda: client.recv(1)) >= 0.15


@pytest.mark.parametrize("way", WAYS)
def test_timeout_lets_nothing_through_and_closes_in_the_end(proxy, connect, way):
    client = connect()
    with proxy.toxic(way, Timeout(0.1)):
        assert ask(client) == b""


def test_timeout_zero_holds_the_connection_for_as_long_as_it_is_set(proxy, connect):
    client = connect()
    with proxy.toxic("downstream", Timeout(0)):
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ask(client, b"lost")
    client.settimeout(PATIENCE_SECONDS)
    assert ask(client, b"heard") == b"heard"


@pytest.mark.parametrize("way", WAYS)
def test_reset_peer_resets_both_sides_also_of_an_idle_connection(proxy, connect, way):
    client = connect()
    assert ask(client) == TEXT
    with proxy.toxic(way, ResetPeer()), pytest.raises(ConnectionResetError):
        client.recv(1)


def test_slicer_cuts_what_one_write_sent(proxy, connect, echo):
    client = connect()
    with proxy.toxic("upstream", Slicer(10, variation=5, seconds=0.002)):
        assert ask(client) == TEXT
    assert len(echo.pieces) > 10
    assert max(map(len, echo.pieces)) < len(TEXT)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [0, 1, 100])
def test_limit_data_closes_in_the_middle_of_a_word(proxy, connect, way, limit):
    client = connect()
    with proxy.toxic(way, LimitData(limit)):
        try:
            got = ask(client)
        except ConnectionError:
            got = b""
        assert len(got) <= limit
        if way == "downstream":
            assert got == TEXT[:limit]


def test_down_refuses_cuts_what_is_open_and_comes_back_on_the_same_port(proxy, connect):
    client = connect()
    assert ask(client) == TEXT
    with proxy.toxic("upstream", Down()):
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect()
    assert ask(connect()) == TEXT


def test_a_reset_is_passed_on_as_a_reset(proxy, connect, echo):
    client = connect()
    assert ask(client) == TEXT
    proxy.cut_all()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while proxy.open_connections:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "toxic", [Latency(0), Bandwidth(10**9), SlowClose(0), Slicer(1000), LimitData(10**6)]
)
@pytest.mark.parametrize("way", WAYS)
def test_a_toxic_that_takes_nothing_changes_nothing(proxy, connect, way: Way, toxic: Toxic):
    with proxy.toxic(way, toxic):
        assert ask(connect()) == TEXT
