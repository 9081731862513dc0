"""`/metrics`: the tally and the gauges in Prometheus' text format, made when it is asked for."""

from collections.abc import Iterable
from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from keyhall import __version__, errors
from keyhall.engines.local.engine import LocalEngine
from keyhall.flows.hall import Hall
from keyhall.flows.observe.tally import LATENCY_BOUNDS_US, Histogram
from keyhall.flows.review.desk import By
from keyhall.policy.breaker import State
from keyhall.policy.limits import Resource, Scope
from keyhall.policy.metering import Outcome
from keyhall.policy.review.judging import Outcome as Decided
from keyhall.ports.content import DropReason

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
        for name in errors.TABLE:
            refused.add_metric([name], tally.refusals.get(name, 0))
        yield refused
        limited = CounterMetricFamily(
            "keyhall_limit_refusals",
            "Requests refused by a limit.",
            labels=["resource", "scope"],
        )
        for by in product(get_args(Resource), get_args(Scope)):
            limited.add_metric(by, tally.refused_by_limit.get(by, 0))
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
        yield from self._filter()
        yield _histogram(
            "keyhall_request_duration_seconds", "Admission to settlement.", tally.duration
        )
        yield _histogram(
            "keyhall_first_byte_seconds", "Admission to an answer's first byte.", tally.first_byte
        )
        yield from self._content()
        yield from self._reviews()
        yield self._engines()
        yield from self._local_engines()
        yield from self._at_present()

    def _filter(self) -> Iterable[Metric]:
        """What rules hit; the operator's by their names, those of holders as one."""
        filters = self._hall.filters
        hits = CounterMetricFamily(
            "keyhall_filter_hits", "Hits of the filter's rules.", labels=["rule", "action"]
        )
        for by, number in sorted(filters.counted.items()):
            hits.add_metric(by, number)
        yield hits
        sizes = CounterMetricFamily(
            "keyhall_filter_bytes",
            "Bytes of answers that were scanned, and what became of them.",
            labels=["what"],
        )
        for what, number in filters.bytes.items():
            sizes.add_metric([what], number)
        yield sizes
        judged = CounterMetricFamily(
            "keyhall_filter_judged", "Texts that a model was to judge.", labels=["could"]
        )
        for could, number in zip(("no", "yes"), filters.judged, strict=True):
            judged.add_metric([could], number)
        yield judged

    def _at_present(self) -> Iterable[Metric]:
        """What is so at this moment."""
        hall = self._hall
        for name, says, value in (
            ("holds_open", "Holds that are not settled yet.", hall.counters.open_holds()),
            ("drains", "Answers that go on although their client has left.", hall.drains.count),
            (
                "journal_depth",
                "Journal slots in use: open requests, and usage not yet committed.",
                hall.ledger.depth(),
            ),
            (
                "spool_records",
                "Usage records on disk that the database did not take yet.",
                hall.ledger.spooled(),
            ),
            (
                "limits_degraded",
                "1 while this process counts by itself, because Redis is away or has forgotten.",
                hall.counters.degraded() is not None,
            ),
            ("callers_known", "Keys in memory.", len(hall.callers.known)),
        ):
            yield GaugeMetricFamily(f"keyhall_{name}", says, value=value)
        yield InfoMetricFamily(
            "keyhall_build", "Which Keyhall runs.", value={"version": __version__}
        )

    def _content(self) -> Iterable[Metric]:
        """Conversations whose owners want them kept. No request waits for that."""
        content = self._hall.content
        if content is None:
            return
        yield CounterMetricFamily(
            "keyhall_content_kept",
            "Conversations that were written, encrypted.",
            value=content.kept,
        )
        dropped = CounterMetricFamily(
            "keyhall_content_dropped",
            "Conversations that were not kept though they should be.",
            labels=["reason"],
        )
        for reason in get_args(DropReason):
            dropped.add_metric([reason], content.dropped.get(reason, 0))
        yield dropped

    def _reviews(self) -> Iterable[Metric]:
        """Answers that people look at. What is open is the whole hall's, whichever worker says."""
        desk = self._hall.reviews
        if desk is None:
            return
        backlog, now_us = desk.backlog, self._hall.clock.now_us()
        open_ = GaugeMetricFamily(
            "keyhall_reviews_open", "Answers that wait for a person.", labels=["held"]
        )
        open_.add_metric(["yes"], backlog.held)
        open_.add_metric(["no"], backlog.open - backlog.held)
        yield open_
        age_us = 0 if backlog.oldest_us is None else max(0, now_us - backlog.oldest_us)
        for name, says, value in (
            ("overdue", "Open although their deadline is over.", backlog.overdue),
            ("oldest_seconds", "Since the oldest of them entered.", age_us / 1_000_000),
            ("callers", "Callers of this process that wait for a decision.", desk.waiting),
        ):
            yield GaugeMetricFamily(f"keyhall_reviews_{name}", says, value=value)
        decisions = CounterMetricFamily(
            "keyhall_review_decisions", "Decisions on answers.", labels=["outcome", "by"]
        )
        for outcome, by in product(get_args(Decided), get_args(By)):
            decisions.add_metric([outcome, by], desk.decided[outcome, by])
        yield decisions

    def _engines(self) -> GaugeMetricFamily:
        """One series per engine and state: 1 for the state that its breaker is in."""
        hall = self._hall
        now_us = hall.clock.now_us()
        states = GaugeMetricFamily(
            "keyhall_engine_state", "What an engine's breaker lets by.", labels=["engine", "state"]
        )
        for name, engine in hall.engines.items():
            now = hall.breakers.state(engine, now_us)
            for state in get_args(State):
                states.add_metric([name, state], now == state)
        return states

    def _local_engines(self) -> Iterable[Metric]:
        """What is known of models in this house only: their slots, queues and lives."""
        running = GaugeMetricFamily("keyhall_slots_busy", "Slots in use.", labels=["engine"])
        waiting = GaugeMetricFamily(
            "keyhall_queue_length", "Requests that wait for a slot.", labels=["engine"]
        )
        starts = CounterMetricFamily(
            "keyhall_engine_starts", "How often a model's process was started.", labels=["engine"]
        )
        for name, engine in self._hall.engines.items():
            if isinstance(engine, LocalEngine):
                running.add_metric([name], engine.answers.running)
                waiting.add_metric([name], engine.answers.waiting)
                starts.add_metric([name], engine.keeper.starts)
        if running.samples:
            yield from (running, waiting, starts)


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
    """What a scrape reads. Of several workers one answers: its number is on all it says."""
    target = None if hall.worker is None else {"worker": str(hall.worker)}
    registry = _Labelled(target)
    registry.register(HallCollector(hall))
    ProcessCollector(registry=registry)
    return registry


class _Labelled(CollectorRegistry):
    """A registry that puts the same labels on every sample."""

    def __init__(self, labels: dict[str, str] | None) -> None:
        super().__init__(auto_describe=False)
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        for metric in super().collect():
            if self._labels is not None:
                metric.samples = [
                    each._replace(labels={**each.labels, **self._labels}) for each in metric.samples
                ]
            yield metric


def text_of(registry: CollectorRegistry) -> bytes:
    """What a scrape is answered with."""
    return generate_latest(registry)
