"""What tells data folders apart, and the journal that a process holds by name."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from keyhall.ledger.files import identity
from keyhall.ledger.recovery import open_ledger


class Nowhere:
    async def record_usage(self, batch):
        """There is nothing to record."""


def test_a_folder_keeps_its_identity_and_no_other_has_it(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    assert identity(one) == identity(one) != identity(other)
    assert [path.name for path in one.iterdir()] == ["instance"]


def test_of_many_that_ask_first_at_once_all_hear_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        heard = set(pool.map(lambda _: identity(tmp_path), range(32)))
    assert len(heard) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["instance"]


def test_r7_two_processes_of_one_folder_hold_in_the_names_of_two_journals(tmp_path):
    async def main():
        ledgers = [(await open_ledger(tmp_path, Nowhere(), {}, 0))[0] for _ in range(2)]
        names = [ledger.journal_name for ledger in ledgers]
        for ledger in ledgers:
            await ledger.close()
        return names

    assert asyncio.run(main()) == ["journal-1.bin", "journal-2.bin"]
