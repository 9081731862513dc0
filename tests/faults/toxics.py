"""What is done to every link: a row is a name and a toxic of the fault proxy."""

from fault_proxy import (
    WAYS,
    Bandwidth,
    Down,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
)

# Times are short because the server's own are: what counts is which comes first.
TOXICS: dict[str, Toxic] = {
    "latency": Latency(0.03, jitter=0.02),
    "bandwidth": Bandwidth(250),
    "slow_close": SlowClose(0.1),
    "timeout": Timeout(0.1),
    "timeout_open": Timeout(0),
    "reset_peer": ResetPeer(0.05),
    "slicer": Slicer(97, variation=90, seconds=0.001),
    "limit_data": LimitData(150),
    "down": Down(),
}
TAKES_TIME = ("latency", "slow_close", "slicer")  # and no more: every answer comes whole
WAYS_OF = [
    (toxic, way)
    for toxic in TOXICS
    for way in WAYS
    if (toxic, way) != ("down", "downstream")  # There is only one way not to listen.
]
