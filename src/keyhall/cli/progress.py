"""A bar on standard error for what takes long, when somebody watches: a terminal, and no --json."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]


@contextmanager
def shown(*, is_wanted: bool, is_bytes: bool = False) -> Iterator[Progress]:
    """Gives what is called with a word for what is done, how much of it, and of how much."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    out = Console(stderr=True)
    if not is_wanted or not out.is_terminal:
        yield lambda _what, _done, _total: None
        return
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
    if is_bytes:
        columns += [DownloadColumn(binary_units=True), TimeRemainingColumn()]
    else:
        columns += [MofNCompleteColumn(), TimeElapsedColumn()]
    with Bar(*columns, console=out, transient=True) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield show
