"""The kinds of load, and what the project asks of Keyhall under each."""

from dataclasses import dataclass

STREAM_EVENTS = 22  # of the fake upstream: 20 with words, one with usage, [DONE]


@dataclass(frozen=True)
class Shape:
    """One kind of load."""

    name: str
    size: int  # bytes of a request's body
    stream: bool = False
    model: str = "bench"
    rate: float = 0.0  # requests a second, 0 for as many as are answered
    connections: int = 32
    least: float = 0.0  # share of nginx's requests a second that Keyhall must reach
    stretch: float = 0.0  # and the share to strive for
    is_for_peers: bool = False
    only_with_peers: bool = False

    @property
    def stretching(self) -> int:
        """Latencies need more samples than rates do."""
        return 2 if self.rate else 1


WHOLE = Shape("whole, 270 B", 270, least=0.20, stretch=0.30, is_for_peers=True)
WHOLE_LONG = Shape("whole, 1.2 kB", 1200, least=0.12, stretch=0.18, is_for_peers=True)
BULK = Shape(
    "stream of 20 events, in bulk", 330, stream=True, least=0.25, stretch=0.40, is_for_peers=True
)
PACED = Shape("stream of 20 events, one each 2 ms", 330, stream=True, model="paced", connections=64)
STEADY = Shape("whole, 270 B, at 500 a second", 270, rate=500)
# Slow enough for every peer: above its own capacity a server's latency is its queue.
SLOW = Shape("whole, 270 B, at 50 a second", 270, rate=50, is_for_peers=True, only_with_peers=True)
SHAPES = (WHOLE, WHOLE_LONG, BULK, PACED, STEADY, SLOW)
