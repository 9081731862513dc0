"""The benchmark's figures as one Markdown page."""

LATENCY = "at 500 a second"


def markdown(result: dict) -> str:
    lines = [
        "# Results of `make bench`",
        "",
        "Medians of alternating rounds on one pinned core. Trust CPU time per request and the ratios"
        " to nginx in the same run; absolute rates of a shared machine say little.",
        "",
        f"Machine: {result['machine']}. Rounds: {result['rounds']} of {result['seconds']} s.",
        "",
    ]
    for name, rows in result["shapes"].items():
        lines += [f"## {name}", ""]
        if LATENCY in name:
            lines += _latency(rows)
        else:
            lines += _rates(rows)
        lines.append("")
    facts = result["keyhall"]
    lines += [
        "## Keyhall itself",
        "",
        f"- start to first answer: {facts['start_seconds']:.2f} s",
        f"- memory, idle: {facts['idle_rss_mb']:.0f} MB; after the load: "
        f"{facts['loaded_rss_mb']:.0f} MB",
        "",
    ]
    return "\n".join(lines)


def _rates(rows: dict) -> list[str]:
    lines = [
        "| server | requests a second | of nginx | CPU µs a request | memory MB | failed |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        share = f"{row['of_nginx']:.2f}" if "of_nginx" in row else "-"
        cpu = f"{row['cpu_us']:.1f}" if row["cpu_us"] else "-"
        memory = f"{row['rss_mb']:.0f}" if row["rss_mb"] else "-"
        lines.append(
            f"| {name} | {row['rps']:,.0f} | {share} | {cpu} | {memory} | {row['bad']:.0f} |"
        )
    return lines


def _latency(rows: dict) -> list[str]:
    lines = ["| server | p50 µs | added p50 | p99 µs | added p99 |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['p50']:.0f} | {row['added_p50']:+.0f} | {row['p99']:.0f} | "
            f"{row['added_p99']:+.0f} |"
        )
    return lines
