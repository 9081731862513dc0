"""The books of a run, compared: what clients hold, what the upstream said, what was recorded (I-1).

Two truths stand against the usage table: what each client received, byte by byte, and what the
upstream wrote down and synced before it sent it. The sandbox dies with the server; what it had
produced lies between what was delivered and one more step of each stream.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sqlite3 import Row
from typing import Any

from counting_upstream import INPUT_TOKENS
from hall_process import Premises
from limit_theorem import assert_kept, fullest
from mixed_load import BOUND, TINY, Load, Sent

from keyhall.policy.metering import Outcome, UsageSource


@dataclass(slots=True)
class Report:
    """What a run was: printed, and the base of the figures we publish."""

    kills: int = 0
    at_start: int = 0  # kills before the server was ready
    stops: int = 0  # SIGSTOP and SIGCONT
    ready_seconds_max: float = 0.0
    requests: int = 0
    refused: int = 0
    rows: int = 0
    crashed: int = 0
    delivered: int = 0
    recorded: int = 0
    doubled: int = 0  # rows that belong to no request of ours
    missing: int = 0  # requests with bytes of an answer and no row
    cut: int = 0  # streams that a kill ended
    over: int = 0  # of these, those of which more was recorded than delivered
    over_max: int = 0  # and the most tokens of one of them
    fullest: dict[str, tuple[int, int]] = field(default_factory=dict)  # requests, tokens

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"kills {self.kills} ({self.at_start} before the server was ready), stops {self.stops}",
            f"requests {self.requests}, refused {self.refused}, rows {self.rows}, of these settled "
            f"from the journal {self.crashed}",
            f"tokens delivered {self.delivered}, recorded {self.recorded}; streams that were cut "
            f"{self.cut}, of these more recorded than delivered {self.over}, by at most "
            f"{self.over_max}",
            f"doubled {self.doubled}, missing {self.missing}",
            f"slowest restart {self.ready_seconds_max:.2f} s",
            *(
                f"fullest 60 s of the {tier} key: {requests} requests, {tokens} tokens"
                for tier, (requests, tokens) in self.fullest.items()
            ),
        ]


def check(premises: Premises, load: Load, produced: Mapping[str, int], report: Report) -> None:
    """Everything that has to be true once the last server has stopped."""
    all_rows = premises.usage()
    rows = {row["request_id"]: row for row in all_rows}
    known = {sent.reply.id: sent for sent in load.sent if sent.reply is not None}
    report.requests, report.refused, report.rows = len(load.sent), load.refused, len(all_rows)
    report.crashed = sum(row["outcome"] == Outcome.CRASHED for row in rows.values())
    report.delivered = sum(sent.delivered for sent in load.sent)
    report.recorded = sum(row["output_tokens"] for row in all_rows)

    # Each row is a request, and those without an id were sent, too.
    nameless = [sent for sent in load.sent if sent.reply is None]
    strangers = len(rows.keys() - known.keys())
    unknown = max(0, strangers - len(nameless) - load.extra)
    report.doubled = len(all_rows) - len(rows) + unknown
    missing = [
        sent for request_id, sent in known.items() if sent.has_bytes and request_id not in rows
    ]
    report.missing = len(missing)
    assert not report.doubled
    assert not missing, f"no record of {missing[:3]}"
    for request_id, sent in known.items():
        row = rows.get(request_id)
        if row is not None:
            check_one(sent, row, produced, report, load)
    check_totals(premises, all_rows)
    for tier, limits in (("tiny", TINY), ("bound", BOUND)):
        (key,) = premises.query("SELECT id FROM keys WHERE tier = ?", tier)
        mine = [row for row in all_rows if row["key_id"] == key["id"]]
        assert_kept(mine, limits, f"the {tier} key")
        report.fullest[tier] = fullest(mine)
    assert not list(premises.data.glob("journal-*")), "a journal, or a part of one, was left"


def check_one(
    sent: Sent, row: Row, produced: Mapping[str, int], report: Report, load: Load
) -> None:
    """One request of a server that was killed, stopped or left in peace."""
    where = f"{sent}: {dict(row)}"
    assert sent.reply is not None
    assert sent.reply.status == 200, where
    check_sums(sent, row, produced, where)
    over = row["output_tokens"] - sent.delivered
    if sent.is_stream and not sent.is_whole and not sent.has_left:
        # I-1: at most one step of the stream was journaled and not delivered.
        report.over_max = max(report.over_max, over)
        report.cut += 1
        report.over += over > 0
        assert over <= load.steps_at_once(sent), where


def check_sums(sent: Sent, row: Any, produced: Mapping[str, int], where: str) -> None:
    """What holds for every record, whatever the network or the process went through."""
    recorded, delivered = row["output_tokens"], sent.delivered
    assert sent.reply is not None
    is_crashed = row["outcome"] == Outcome.CRASHED
    assert row["is_stream"] == sent.is_stream
    assert row["output_cap"] == sent.cap * sent.choices
    assert recorded <= row["output_cap"], where
    assert recorded >= delivered, where
    if sent.is_whole and sent.reply.status == 200:
        assert recorded == delivered, where
        assert row["outcome"] in (Outcome.ANSWERED, Outcome.CRASHED), where
        if not is_crashed and not sent.is_stream:
            assert sent.reply.usage["prompt_tokens"] == row["input_tokens"], where
    if sent.is_own:
        assert row["usage_source"] in (UsageSource.ENGINE, UsageSource.COUNTED), where
        return
    assert recorded <= produced.get(sent.mark, 0), where
    if is_crashed:
        assert row["usage_source"] == UsageSource.ESTIMATED, where
    elif sent.is_whole and sent.reply.status == 200 and sent.model == "up-counts-1":
        assert row["usage_source"] == UsageSource.ENGINE, where
        assert row["input_tokens"] == INPUT_TOKENS, where


def check_totals(premises: Premises, rows: Iterable[Row]) -> None:
    """What people are shown, added up from the rollups, is what the rows say."""
    shown = premises.run_json("usage", "--by", "model")["lines"]
    by_model: dict[str, list[int]] = {}
    for row in rows:
        sums = by_model.setdefault(row["version"], [0, 0, 0, 0])
        amounts = (1, row["input_tokens"], row["output_tokens"], row["cost_nano"])
        sums[:] = [total + amount for total, amount in zip(sums, amounts, strict=True)]
    names = ("requests", "input_tokens", "output_tokens", "cost_nano")
    assert {line["model"]: [line[name] for name in names] for line in shown} == by_model
