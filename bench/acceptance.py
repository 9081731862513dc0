"""What the project asks of Keyhall, held against the figures of a run.

Each demand is judged only if the run measured what it is about. Nothing here changes a figure or
an exit status: a benchmark that falls short says so and is published all the same.
"""

from collections.abc import Iterator

from shapes import SHAPES, STEADY, WHOLE

ADDED_P50_US = 200  # on top of nginx's, at 500 requests a second
LITELLM_TIMES = 100
MANY_KEYS_CPU = 1.1
MANY_KEYS_GROWTH_MB = 64
START_RATIO = 1.5
START_SECONDS = 1.5
IDLE_RSS_MB = 150
SHARED_CPU = 1.3  # of that in memory, with Redis and PostgreSQL


def judge(result: dict) -> list[dict]:
    """`what` is asked, what was `found`, whether it `passes`, and the `stretch` goal if any."""
    shapes = result.get("shapes", {})
    found = [*_shares(shapes), *_latency(shapes), *_peers(shapes)]
    if "shapes" in result:
        found += _right(result)
    if "many_keys" in result:
        found += _many_keys(result["many_keys"])
    if "start_up" in result:
        found += _start_up(result["start_up"])
    if "shared" in result:
        found += _shared(result["shared"])
    return found


def _demand(what: str, found: str, passes: bool, stretch: str = "") -> dict:
    return {"what": what, "found": found, "passes": passes, "stretch": stretch}


def _shares(shapes: dict) -> Iterator[dict]:
    for shape in SHAPES:
        rows = shapes.get(shape.name, {})
        if not shape.least or "keyhall" not in rows or "nginx" not in rows:
            continue
        share = rows["keyhall"]["rps_of_nginx"]
        reached = "reached" if share >= shape.stretch else "not reached"
        yield _demand(
            f"{shape.name}: at least {shape.least:.2f} of nginx's requests a second",
            f"{share:.3f}",
            share >= shape.least,
            f"{shape.stretch:.2f} {reached}",
        )


def _latency(shapes: dict) -> Iterator[dict]:
    rows = shapes.get(STEADY.name, {})
    if "keyhall" in rows and "nginx" in rows:
        more = rows["keyhall"]["added_p50"] - rows["nginx"]["added_p50"]
        yield _demand(
            f"{STEADY.name}: added p50 at most nginx's + {ADDED_P50_US} µs",
            f"nginx's {more:+.0f} µs",
            more <= ADDED_P50_US,
        )


def _peers(shapes: dict) -> Iterator[dict]:
    rows = shapes.get(WHOLE.name, {})
    if "litellm" in rows and "keyhall" in rows:
        times = rows["litellm"]["cpu_us"] / rows["keyhall"]["cpu_us"]
        yield _demand(
            f"{WHOLE.name}: LiteLLM's proxy takes at least {LITELLM_TIMES} times the CPU",
            f"{times:.0f} times",
            times >= LITELLM_TIMES,
        )


def _right(result: dict) -> Iterator[dict]:
    failed = sum(rows["keyhall"]["bad"] for rows in result["shapes"].values() if "keyhall" in rows)
    wrong = [text for text in result["left_out"] if text.startswith("keyhall")]
    yield _demand(
        "every request is answered, and rightly",
        "; ".join([f"{failed} failed", *wrong]),
        not failed and not wrong,
    )
    answered, rows = result["keyhall"]["answered"], result["keyhall"]["ledger_rows"]
    yield _demand(
        "every answer is in the ledger once",
        f"{answered:,} answers, {rows:,} rows",
        answered == rows,
    )


def _many_keys(found: dict) -> Iterator[dict]:
    yield _demand(
        f"{found['total']:,} keys, 10,000 in use: CPU at most {MANY_KEYS_CPU} of that with 10 keys",
        f"{found['cpu_ratio']:.3f}",
        found["cpu_ratio"] <= MANY_KEYS_CPU and not found["bad"],
    )
    yield _demand(
        f"10,000 keys in use take at most {MANY_KEYS_GROWTH_MB} MB more memory than 10",
        f"{found['growth_mb']:.0f} MB",
        found["growth_mb"] <= MANY_KEYS_GROWTH_MB,
    )


def _start_up(found: dict) -> Iterator[dict]:
    for which, called in (("later", "a later start"), ("first", "the first start")):
        ratio, seconds = found[f"{which}_ratio"], found[f"{which}_seconds"]
        yield _demand(
            f"{called}: first answer within {START_RATIO} times the import of the core libraries, "
            f"and {START_SECONDS} s",
            f"{ratio:.2f} times, {seconds:.2f} s",
            ratio <= START_RATIO and seconds <= START_SECONDS,
        )
    yield _demand(
        f"at most {IDLE_RSS_MB} MB idle, with one tokenizer loaded",
        f"{found['rss_mb']:.0f} MB",
        found["rss_mb"] <= IDLE_RSS_MB,
    )


def _shared(found: dict) -> Iterator[dict]:
    for workers in ("1 worker, Redis", "2 workers, Redis"):
        ratios = {
            shape: row["cpu_of_memory"]
            for shape, rows in found["shapes"].items()
            for case, row in rows.items()
            if case.startswith(workers)
        }
        yield _demand(
            f"{workers}, PostgreSQL: CPU of Keyhall at most {SHARED_CPU} times that in memory",
            "; ".join(f"{ratio:.2f} ({shape})" for shape, ratio in ratios.items()),
            max(ratios.values(), default=0) <= SHARED_CPU,
        )
    failed = sum(row["bad"] for rows in found["shapes"].values() for row in rows.values())
    books = found["books"]
    yield _demand(
        "with Redis and PostgreSQL every request is answered, and in the ledger once",
        f"{failed} failed, {books['answered']:,} answers, {books['rows']:,} rows",
        not failed and books["answered"] == books["rows"],
    )
    yield _demand(
        "what quotas say was used is what their keys' records cost, and nothing is held any more",
        f"{books['quota_used_nano']:,} and {books['quota_cost_nano']:,} nano-units, "
        f"{books['held']:,} held",
        books["quota_used_nano"] == books["quota_cost_nano"] and not books["held"],
    )
