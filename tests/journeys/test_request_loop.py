"""Attack 23: an engine that leads back to this server is noticed, even through a proxy."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest


@pytest.fixture
def detour(keyhall_server: Any) -> Iterator[str]:
    """The address of a proxy in front of the server: its own address, by another name. All that it
    has opened is closed at the end: what is left to the garbage collector fails another test."""
    target = urlsplit(keyhall_server.root_url)
    listener = socket.create_server(("127.0.0.1", 0))
    sockets: list[socket.socket] = [listener]
    threads: list[threading.Thread] = []

    def start(work: Callable[..., None], *arguments: socket.socket) -> None:
        threads.append(threading.Thread(target=work, args=arguments))
        threads[-1].start()

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                sockets.append(near)
                far = socket.create_connection((target.hostname, target.port))
                sockets.append(far)
                start(carry, near, far)
                start(carry, far, near)

    start(accept)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    listener.shutdown(socket.SHUT_RDWR)  # Ends the wait in `accept`, as closing does not.
    threads[0].join()
    for each in sockets[1:]:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for each in sockets:
        each.close()


def test_an_engine_that_leads_back_here_is_refused_instead_of_going_round(
    keyhall_server: Any, detour: str
) -> None:
    keyhall_server.run("engines", "add", "mirror", "--url", detour)
    keyhall_server.run(
        "versions", "add", "mirror-1", "--engine", "mirror", "--engine-model", "mirror-1"
    )
    client = openai.OpenAI(
        base_url=keyhall_server.base_url, api_key=keyhall_server.key, max_retries=5
    )
    with pytest.raises(openai.BadRequestError, match="this very server") as refused:
        client.chat.completions.create(
            model="mirror-1", messages=[{"role": "user", "content": "Hello"}]
        )
    assert refused.value.code == "engine_rejected"
