"""How old records are where the wall clock was set while no server ran (R6)."""

import json

import pytest

from keyhall.clock import ManualClock, SystemClock
from keyhall.ledger import eras
from keyhall.ledger.eras import Eras, begin, boot_of_machine

HOUR_US = 3_600_000_000
SECOND_US = 1_000_000
WALL_US = 1_800_000_000_000_000


class Machine:
    """A clock as a new life has it: the wall clock as it is set, and the uptime."""

    def __init__(self, uptime_us: int, ahead_us: int = 0) -> None:
        self._uptime_us = uptime_us
        self._base_us = WALL_US + ahead_us

    def now_us(self) -> int:
        return self._base_us + self._uptime_us

    def uptime_us(self) -> int:
        return self._uptime_us

    def not_before(self, at_us: int) -> None:
        self._base_us += max(0, at_us - self.now_us())


def test_r6_a_clock_set_forward_between_two_lives_makes_no_record_older(tmp_path) -> None:
    begin(tmp_path, Machine(100 * SECOND_US), "boot")
    at_us = WALL_US + 110 * SECOND_US
    now = Machine(120 * SECOND_US, HOUR_US)
    found = begin(tmp_path, now, "boot")
    assert now.now_us() - found.ours(at_us) in (10 * SECOND_US, 10 * SECOND_US + 1)
    assert found.recorded_since_us(now.now_us() - 61 * SECOND_US) <= at_us
    # The next start knows of both lives: what the second one wrote is as old as it says.
    third = begin(tmp_path, Machine(130 * SECOND_US, HOUR_US), "boot")
    assert third.ours(at_us) == at_us + HOUR_US
    own_us = now.now_us() + SECOND_US
    assert third.ours(own_us) == own_us


def test_r6_a_clock_set_back_and_records_of_nobody_are_taken_as_they_are(tmp_path) -> None:
    begin(tmp_path, Machine(100 * SECOND_US), "boot")
    found = begin(tmp_path, Machine(120 * SECOND_US, -HOUR_US), "boot")
    for at_us in (WALL_US + 110 * SECOND_US, WALL_US):
        assert found.ours(at_us) == at_us
    assert found.recorded_since_us(WALL_US) == WALL_US


def test_r6_no_record_comes_to_lie_in_the_future(tmp_path) -> None:
    begin(tmp_path, Machine(100 * SECOND_US), "boot")
    now = Machine(120 * SECOND_US, HOUR_US)
    found = begin(tmp_path, now, "boot")
    assert found.ours(WALL_US + 130 * SECOND_US) == now.now_us()
    assert found.ours(now.now_us() + 1) == now.now_us() + 1


def test_r2_a_life_that_began_at_the_newest_record_for_its_clock_was_set_back_did_not_write_it(
    tmp_path,
) -> None:
    begin(tmp_path, Machine(100 * SECOND_US), "boot")
    at_us = WALL_US + 110 * SECOND_US
    second = Machine(180 * SECOND_US, -HOUR_US)
    second.not_before(at_us)
    begin(tmp_path, second, "boot")
    third = begin(tmp_path, Machine(182 * SECOND_US, HOUR_US), "boot")
    assert third.ours(at_us) == at_us + HOUR_US, "72 s ago, not 2"


def test_i11_lives_that_ended_long_ago_are_forgotten(tmp_path) -> None:
    for number in range(20):
        begin(tmp_path, Machine((100 + 100 * number) * SECOND_US), "boot")
    assert len(json.loads((tmp_path / eras.NAME).read_bytes())["eras"]) <= 5


@pytest.mark.parametrize("note", [None, b"", b"{", b'{"boot": "another", "eras": []}', b"[]"])
def test_without_a_note_of_this_boot_the_wall_clock_is_believed(tmp_path, note) -> None:
    if note is not None:
        (tmp_path / eras.NAME).write_bytes(note)
    found = begin(tmp_path, Machine(100 * SECOND_US, HOUR_US), "boot")
    assert found.ours(WALL_US) == WALL_US
    assert json.loads((tmp_path / eras.NAME).read_bytes())["boot"] == "boot"


def test_a_clock_or_a_system_that_does_not_say_it_notes_nothing(tmp_path) -> None:
    for clock, boot in ((ManualClock(), "boot"), (SystemClock(), None)):
        assert begin(tmp_path, clock, boot).ours(WALL_US) == WALL_US
    assert Eras().recorded_since_us(WALL_US) == WALL_US
    assert not list(tmp_path.iterdir())


def test_a_boot_of_the_machine_has_one_name(tmp_path) -> None:
    assert boot_of_machine() == boot_of_machine()
    assert boot_of_machine(tmp_path / "none") is None
    (tmp_path / "some").write_text("abc\n")
    assert boot_of_machine(tmp_path / "some") == "abc"
