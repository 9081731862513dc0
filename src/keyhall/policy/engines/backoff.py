"""When a process that ended is started again."""

FIRST_SECONDS = 0.5
MOST_SECONDS = 60.0
STEADY_SECONDS = 30.0  # one that has lived so long begins anew


def restart_seconds(failures: int) -> float:
    """How long to wait after so many ends in a row: not at all after the first, then twice as long
    each time."""
    if failures <= 1:
        return 0.0
    return float(min(FIRST_SECONDS * 2 ** (min(failures, 32) - 2), MOST_SECONDS))
