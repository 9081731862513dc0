"""The way to one life of a model's process: its socket, its token, the connections to it."""

from dataclasses import replace

from keyhall.engines.upstream.address import Address, Resolver
from keyhall.engines.upstream.call import Call, Deadlines
from keyhall.engines.upstream.pool import Pool, Sizes
from keyhall.outbox import Outbox

COUNT_SECONDS = 10.0
PROBE_SECONDS = 3_600.0
SPARE_CONNECTIONS = 4  # One that was just closed is still counted by the other side.
COUNT_CONNECTIONS = 4
_ADDRESS = Address("http", "localhost", 80, "/v1")


class Link:
    def __init__(
        self, socket: str, token: str, slots: int, deadlines: Deadlines, outbox: Outbox
    ) -> None:
        self._token = token
        quick = replace(
            deadlines, queue=COUNT_SECONDS, first_byte=COUNT_SECONDS, idle=COUNT_SECONDS
        )

        def pool(connections: int, deadlines: Deadlines, outbox: Outbox) -> Pool:
            sizes = Sizes(connections=connections)
            return Pool(
                _ADDRESS,
                Resolver(_ADDRESS),
                deadlines=deadlines,
                sizes=sizes,
                outbox=outbox,
                socket=socket,
            )

        self.answers = pool(slots + SPARE_CONNECTIONS, deadlines, outbox)
        self.counts = pool(COUNT_CONNECTIONS, quick, outbox)
        # Who asks looks at the time itself.
        patient = replace(deadlines, queue=PROBE_SECONDS, first_byte=PROBE_SECONDS)
        self.probes = pool(1, patient, Outbox())
        self._chat = self._head("POST", "/v1/chat/completions") + b"Content-Length: "
        self._counting = self._head("POST", "/v1/chat/completions/input_tokens")
        self._counting += b"Content-Length: "
        self._probe = self._head("GET", "/slots") + b"\r\n"

    def chat(self, body: bytes) -> bytes:
        return b"%b%d\r\n\r\n%b" % (self._chat, len(body), body)

    def counting(self, body: bytes) -> bytes:
        return b"%b%d\r\n\r\n%b" % (self._counting, len(body), body)

    def probe(self) -> Call:
        """Asks for the state of the slots. The answer comes from between two steps of the model:
        a process that hangs gives none."""
        call = Call(self._probe, False)
        self.probes.start(call)
        return call

    async def close(self) -> None:
        for pool in (self.answers, self.counts, self.probes):
            await pool.close()

    def _head(self, method: str, path: str) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {self._token}\r\n"
        ).encode("ascii")
