"""`/metrics`: the tally and the gauges in Prometheus' text format, made when it is asked for."""

from collections.abc import Iterable
from ipaddress import ip_address

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from starlette.requests import Request
from starlette.responses import Response

from keyhall.flows.hall import Hall
from keyhall.flows.tally import LATENCY_BOUNDS_US, Histogram
from keyhall.policy.metering import Outcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HallCollector:
    """Reads a hall's counts at the moment of a scrape."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def collect(self) -> Iterable[Metric]:
        tally = self._hall.tally
        requests = CounterMetricFamily(
            "keyhall_requests", "Admitted requests by how they ended.", labels=["outcome"]
        )
        for outcome in Outcome:
            requests.add_metric([outcome.name.lower()], tally.outcomes[outcome])
        yield requests
        refused = CounterMetricFamily(
            "keyhall_errors", "Requests answered with a row of the error table.", labels=["row"]
        )
        for name, count in tally.refusals.items():
            refused.add_metric([name], count)
        yield refused
        limited = CounterMetricFamily(
            "keyhall_limit_refusals",
            "Requests refused by a limit.",
            labels=["resource", "scope"],
        )
        for (resource, scope), count in tally.refused_by_limit.items():
            limited.add_metric([resource, scope], count)
        yield limited
        tokens = CounterMetricFamily("keyhall_tokens", "Settled tokens.", labels=["direction"])
        tokens.add_metric(["input"], tally.input_tokens)
        tokens.add_metric(["output"], tally.output_tokens)
        yield tokens
        yield CounterMetricFamily(
            "keyhall_hold_exceeded",
            "Requests that used more than was held for them.",
            value=tally.hold_exceeded,
        )
        yield _histogram(
            "keyhall_request_duration_seconds", "Admission to settlement.", tally.duration
        )
        yield _histogram(
            "keyhall_first_byte_seconds", "Admission to an answer's first byte.", tally.first_byte
        )
        yield GaugeMetricFamily(
            "keyhall_holds_open",
            "Holds that are not settled yet.",
            value=self._hall.counters.open_holds(),
        )
        yield GaugeMetricFamily(
            "keyhall_journal_depth",
            "Journal slots in use: open requests, and usage not yet committed.",
            value=self._hall.ledger.depth(),
        )
        yield GaugeMetricFamily(
            "keyhall_callers_known", "Keys in memory.", value=len(self._hall.callers.known)
        )


def _histogram(name: str, says: str, histogram: Histogram) -> HistogramMetricFamily:
    total = 0
    buckets = []
    bounds = [str(bound / 1_000_000) for bound in LATENCY_BOUNDS_US] + ["+Inf"]
    for bound, count in zip(bounds, histogram.buckets, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(
        name, says, buckets=buckets, sum_value=histogram.sum_us / 1_000_000
    )


def registry_of(hall: Hall) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HallCollector(hall))
    return registry


async def metrics(request: Request) -> Response:
    """Answers loopback, or an admin key in the Authorization header (R26)."""
    hall: Hall = request.app.state.hall
    if not _is_loopback(request, hall) and not await _is_admin(request, hall):
        return Response("Only loopback or an admin key may read the metrics.\n", 403)
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE)


def _is_loopback(request: Request, hall: Hall) -> bool:
    peer = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for")
    if forwarded is not None:
        if hall.trusted_proxies is None:
            return False  # Somebody's proxy on this machine: the peer says nothing.
        peer = hall.trusted_proxies.client_ip(peer, forwarded.encode("latin-1"))
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False


async def _is_admin(request: Request, hall: Hall) -> bool:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.startswith("sk-kh_admin_"):
        return False
    digest = hall.callers.digest(key.encode("latin-1", "replace"))
    return await hall.store.is_admin_key(digest, hall.clock.now_us())
