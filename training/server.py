"""llama.cpp's own server on a GGUF file, for exams and checks: in this process, on loopback."""

import http.client
import json
from types import TracebackType
from typing import Any

import xllamacpp


class Served:
    """`with Served(path) as server: server.ask(...)`. One request at a time."""

    def __init__(self, path: str, *, context: int = 512, threads: int = 1, slots: int = 1) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = path
        parameters.n_parallel = slots
        parameters.n_ctx = context * slots
        parameters.cpuparams.n_threads = threads
        parameters.use_jinja = True
        parameters.ui = False
        parameters.warmup = False
        parameters.verbosity = 0
        parameters.port = 0  # the system chooses a free one
        self._server = xllamacpp.Server(parameters)
        host, _, port = self._server.listening_address.removeprefix("http://").rpartition(":")
        self._address = (host, int(port))

    def __enter__(self) -> "Served":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._server

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self._address, timeout=120)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {found}")
        return found

    def ask(self, turns: list[dict[str, str]], **parameters: Any) -> tuple[str, bool, int]:
        """The answer, whether it ended by itself, and its tokens."""
        body = {"messages": turns, "max_tokens": 160, **parameters}
        found = self.post("/v1/chat/completions", body)
        choice = found["choices"][0]
        text = choice["message"]["content"] or ""
        return text, choice["finish_reason"] == "stop", found["usage"]["completion_tokens"]
