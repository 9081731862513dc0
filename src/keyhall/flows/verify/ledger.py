"""One pass over all usage rows: their batches, what they cost, and what they used of quotas."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.verify.batches import Batches, Encoded, encode
from keyhall.flows.verify.findings import Findings, Progress
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Beyond
from keyhall.policy.verify import costs
from keyhall.policy.verify.chains import Difference
from keyhall.policy.verify.costs import PriceStep
from keyhall.policy.verify.quotas import Replay, where
from keyhall.stores.usage import usage_of
from keyhall.stores.verify import rows as stored
from keyhall.stores.verify import sums

WHAT = "usage"


async def verify(
    connection: AsyncConnection, findings: Findings, total: int, progress: Progress
) -> Replay:
    """Returns what quotas must have been used."""
    prices = await _prices(connection)
    replay = Replay(await sums.quotas_by_owner(connection), await sums.quotas_since(connection))
    batches = Batches(connection, findings)
    # With one process numbers are in the order of commits, so that each overage row can be told.
    is_ordered = connection.dialect.name == "sqlite"
    has_chain = False
    async for page in stored.usage_pages(connection):
        chained: list[tuple[int, Encoded]] = []
        counted: list[Usage] = []
        for row in page:
            values = row[2:]
            if row[1] is not None:
                has_chain = True
                chained.append((row[1], (row[2], encode(values))))
            elif has_chain:
                findings.add(_outside(row))
            else:
                findings.unchained += 1
            usage = _checked(row, prices, findings)
            if usage is not None and replay.by_owner:
                counted.append(usage)
        await batches.take(chained)
        over = replay.take(counted)
        if is_ordered and over:
            await _overage(connection, over, findings)
        findings.rows += len(page)
        progress(WHAT, findings.rows, total)
    await batches.finish()
    return replay


async def _prices(connection: AsyncConnection) -> dict[str, list[PriceStep]]:
    found: dict[str, list[PriceStep]] = {}
    for name, since_us, *price in await stored.prices_of_versions(connection):
        steps = found.setdefault(name, [])
        if since_us is not None:
            steps.append(PriceStep(since_us, *price))
    return found


def _outside(row: Sequence[Any]) -> Difference:
    return Difference(
        "chain",
        f"request {row[2]}",
        "a batch, as all rows since the first one that has one",
        "none",
        "the row was added past Keyhall, or taken out of its chain",
    )


def _checked(
    row: Sequence[Any], prices: dict[str, list[PriceStep]], findings: Findings
) -> Usage | None:
    """The row as a value, if it can be one; what is wrong with it is a finding."""
    try:
        usage = usage_of(row[2:])
        said = costs.impossible(usage)
    except (TypeError, ValueError) as error:
        said, usage = str(error), None
    if said is not None:
        findings.add(
            Difference(
                "row",
                f"request {row[2]}",
                "values as Keyhall writes them",
                said,
                "the row was changed",
            )
        )
        return None
    assert usage is not None
    steps = prices.get(usage.version)
    if steps is None:
        findings.unpriced += 1
    else:
        findings.add(costs.cost_differs(steps, usage))
    findings.exceeded += usage.input_tokens + usage.output_tokens > usage.held_tokens
    return usage


async def _overage(connection: AsyncConnection, over: Sequence[Beyond], findings: Findings) -> None:
    """Each overage row as the replay says that it was written."""
    places = [(each.usage.request_id, each.quota.id) for each in over]
    kept = await sums.overage_of(connection, places)
    for each in over:
        found = kept.get((each.usage.request_id, each.quota.id))
        expected = (each.units, each.quota.overage_price, each.cost_nano)
        if found is None or tuple(found) != expected:
            findings.add(
                Difference(
                    "overage",
                    f"request {each.usage.request_id}, "
                    f"{where((each.quota.id, each.begins_us), each.quota)}",
                    _said(expected),
                    "no row" if found is None else _said(found),
                    "an overage row was removed or changed",
                )
            )


def _said(values: Sequence[Any]) -> str:
    return f"{values[0]} units at {values[1]}, {values[2]} nano-units"
