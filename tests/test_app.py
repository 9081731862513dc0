"""Opening and closing a hall: one line for whatever is in the way, and nothing left open."""

import asyncio
import logging
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from made_usage import made_usage
from patience import PATIENCE_SECONDS

from keyhall import app, chores, parts
from keyhall.clock import ManualClock
from keyhall.config import Config, Log, Models
from keyhall.config.alerts import Alerts
from keyhall.flows.engines import use_upstream
from keyhall.flows.manage import keys
from keyhall.parts import HallBusy, StartRefused
from keyhall.policy.catalogue import Version
from keyhall.ports.store import StoreAway
from keyhall.stores.catalogue import enter_version
from keyhall.stores.sqlite import SqliteStore

URL = "http://127.0.0.1:8484"


def opened(house, story, **settings):
    """Open a hall on the prepared folder and tell it the story."""

    async def inside():
        config = Config(data=house.data, models=Models(house=False), **settings)
        async with app.open_house(config, URL, ManualClock(house.now_us)) as hall:
            return await story(hall)

    return asyncio.run(inside())


async def nothing(_hall):
    pass


def refusal(house, **settings):
    with pytest.raises(StartRefused) as caught:
        opened(house, nothing, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- Refused starts -------------------------------------------------------------------------------


def test_a_start_names_the_versions_that_no_engine_answers_for(house):
    async def lose(store):
        async with store.writing() as connection:
            version = Version(0, "house-1", "gone", "m", house.now_us)
            await enter_version(connection, version, house.actor, house.now_us)

    async def story(hall):
        return hall.notes

    assert opened(house, story) == []
    house.run(lose)
    (note,) = opened(house, story)
    assert note.startswith("There is no engine gone for house-1. `keyhall engines add gone")


def test_r14_a_second_server_on_a_folder_is_refused_and_names_the_first(house):
    async def story(_hall):
        with pytest.raises(HallBusy) as caught:
            async with app.open_house(Config(data=house.data), URL):
                pass
        assert f"(process {os.getpid()}) already runs on {house.data}" in str(caught.value)

    opened(house, story)
    opened(house, nothing)  # The lock goes with the server.


def test_alerts_to_an_address_that_is_never_called_are_told_at_start(house):
    alerts = Alerts(webhook_url="http://169.254.169.254/", webhook_secret="whsec_" + "k" * 32)
    assert refusal(house, alerts=alerts).startswith("[alerts] webhook_url: the address is link-loc")


def test_alerts_are_looked_for_only_where_somebody_can_be_told(house):
    async def tasks(_hall):
        return {task.get_name() for task in asyncio.all_tasks()}

    alerts = Alerts(webhook_url="http://127.0.0.1:9/", webhook_secret="whsec_" + "k" * 32)
    assert "tell alerts" not in opened(house, tasks)
    assert "tell alerts" in opened(house, tasks, alerts=alerts)


def test_a_database_that_is_none_is_told(house):
    house.database.write_bytes(b"nonsense" * 1000)
    assert "is damaged" in refusal(house)


def test_i19_a_database_of_a_later_release_is_left_alone(house):
    with sqlite3.connect(house.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = house.database.read_bytes()
    assert refusal(house).startswith("The database has schema 9999; this release knows up to ")
    assert house.database.read_bytes() == before


def test_i4_a_pepper_that_others_may_read_is_told(house):
    (house.data / "pepper").chmod(0o644)
    assert "can be read by other users" in refusal(house)


def test_a_missing_pepper_is_told_and_not_replaced_by_another(house):
    """A new one would make every key useless, and hide that the old one is gone."""
    (house.data / "pepper").unlink()
    assert "Restore the file `pepper`" in refusal(house)
    assert not (house.data / "pepper").exists()


def test_a_journal_that_is_none_is_told_and_left_alone(house):
    journal = house.data / "journal-1.bin"
    journal.write_bytes(b"nonsense")
    assert refusal(house).endswith("is not a journal of Keyhall. Move it away.")
    assert journal.read_bytes() == b"nonsense"


def test_a_data_folder_that_is_a_file_is_told(house, tmp_path):
    house.data = tmp_path / "file"
    house.data.touch()
    assert refusal(house) == (
        f"{house.data} is a file, not a folder: choose another place with --data."
    )


def test_a_folder_that_cannot_be_made_is_told(house):
    house.data = Path("/proc/keyhall")
    assert refusal(house) == "/proc/keyhall: No such file or directory."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(house):
    house.data.chmod(0o500)
    assert "Permission denied" in refusal(house)
    house.data.chmod(0o700)


def test_a_store_that_fails_while_it_is_opened_is_told(house, monkeypatch):
    async def away(*_):
        raise StoreAway("disk I/O error")

    monkeypatch.setattr(SqliteStore, "load_catalogue", away)
    assert refusal(house) == "The database fails: disk I/O error."


def test_f9_a_disk_without_room_for_the_journal_is_told_in_one_line(house):
    """As a stranger sees it: one line, status 1."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))

    done = subprocess.run(
        [sys.executable, "-m", "keyhall", "serve", "--port", "0", "--data", str(house.data)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: No room for the journal {house.data}/journal-1.bin")
    assert done.stderr.endswith("Free some space on that disk and start again.\n")


# --- A running hall -------------------------------------------------------------------------------


def test_what_others_change_while_a_hall_opens_is_not_missed(house, monkeypatch):
    """A command that runs between two reads of a start is followed afterwards."""
    load = SqliteStore.load_catalogue

    async def load_then_change(store):
        found = await load(store)
        if not hasattr(store, "was_changed"):
            store.was_changed = True
            await store.move_alias("v1", "v1.1-sandbox-1", house.actor, house.now_us)
        return found

    monkeypatch.setattr(SqliteStore, "load_catalogue", load_then_change)

    async def story(hall):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while hall.hall.catalogue.find("v1").name != "v1.1-sandbox-1":
                await asyncio.sleep(0.01)

    opened(house, story)


def test_a_stop_notes_when_keys_were_last_used(house):
    async def story(hall):
        fresh = await keys.create(
            hall.store,
            keys.NewKey("app"),
            tiers=["free-trial"],
            pepper=house.peppers[0],
            entropy=house.entropy(),
            actor=house.actor,
            now_us=house.now_us,
        )
        text = fresh.text.reveal().encode()
        callers = hall.hall.callers
        caller = await callers.look_up(text, callers.digest(text))
        caller.last_used_us = house.now_us + 7

    opened(house, story)
    with sqlite3.connect(house.database) as connection:
        query = "SELECT max(last_used_at_us) FROM keys"
        assert connection.execute(query).fetchone() == (house.now_us + 7,)
    connection.close()


def spoil_a_page(house):
    """Of a table that no start reads."""
    with sqlite3.connect(house.database) as connection:
        connection.execute("CREATE TABLE padding AS SELECT hex(randomblob(20000)) AS text")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with house.database.open("r+b") as file:
        file.seek(-4096, 2)
        file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("left", ["journal-1.bin", "spool-1.bin"])
def test_f8_a_start_after_a_crash_refuses_a_corrupt_file(house, left):
    """F-8: after a stop that was one there is nothing to look for, and a start takes no longer."""
    spoil_a_page(house)
    opened(house, nothing)
    (house.data / left).touch()
    assert "is damaged" in refusal(house)
    assert "Restore it from a backup" in refusal(house)
    assert (house.data / left).exists(), "what was used is kept"


def test_f8_a_journal_without_a_database_is_no_damage(house, tmp_path):
    house.data = tmp_path / "fresh"
    house.data.mkdir()
    (house.data / "journal-1.bin").touch()
    opened(house, nothing)


def test_i8_a_large_spool_that_is_taken_in_at_start_is_told(house, monkeypatch, caplog):
    from keyhall.ledger import recovery
    from keyhall.ledger.spool import Spool

    spool = Spool(house.data)
    spool.append([made_usage(number) for number in range(5_000)])
    spool.close()
    monkeypatch.setattr(recovery, "PROGRESS_ROWS", 2_000)
    caplog.set_level("INFO", "keyhall")

    async def story(hall):
        return hall.recovered.spooled, len(await hall.store.usage_since(0))

    assert opened(house, story) == (5_000, 5_000)
    told = [record.args for record in caplog.records if record.msg == "spool_replayed"]
    assert [each["records"] for each in told] == [2_000, 4_000]
    assert told[1] == {"file": "spool-1.bin", "records": 4_000, "percent": 80}


def test_usage_that_the_store_did_not_take_at_the_end_is_told(house, caplog):
    async def story(hall):
        hall.hall.ledger._flusher.sink_error = "StoreAway: database or disk is full"
        hall.hall.ledger.damaged().append("spool-1.bin: 300 bytes at byte 16 are damaged")

    opened(house, story)
    told = [record.msg for record in caplog.records]
    assert told == ["usage_kept_for_next_start", "usage_damaged"]


def test_work_in_the_background_that_fails_is_told(caplog):
    async def fails():
        raise ValueError("secret words")

    async def inside():
        async with app.AsyncExitStack() as stack:
            chores.background(stack, "odd work", fails())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(inside())
    (record,) = caplog.records
    assert (record.msg, record.args) == ("background_failed", {"work": "odd work"})


def test_rollups_go_on_after_the_store_was_away(monkeypatch):
    calls = []

    class Store:
        async def keep_rolled_up(self):
            calls.append(len(calls))
            if len(calls) == 1:
                raise StoreAway("locked")

    async def inside():
        task = asyncio.create_task(chores.roll_up(Store()))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(calls) < 3:
                await asyncio.sleep(0)
        task.cancel()

    monkeypatch.setattr(chores, "ROLL_UP_SECONDS", 0)
    asyncio.run(inside())


def test_r9_an_upstream_that_is_down_at_start_is_offered_later(house, monkeypatch):
    monkeypatch.setattr(use_upstream, "RETRY_SECONDS", 0.01)
    offers = []

    async def offer(_store, engine, _wanted, _now_us, _models):
        offers.append(engine.name)
        return use_upstream.Offered(is_complete=len(offers) == 3, notes=[f"offer {len(offers)}"])

    monkeypatch.setattr(use_upstream, "offer", offer)

    async def story(hall):
        assert hall.notes == ["offer 1"]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(offers) < 3:
                await asyncio.sleep(0.01)

    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://127.0.0.1:1"}
    opened(house, story, environ=environ)
    assert offers == ["upstream"] * 3


@pytest.mark.parametrize(
    ("requests", "failed", "every"),
    [("none", False, False), ("errors", True, False), ("all", False, True)],
)
def test_a_hall_without_request_lines_has_nothing_that_makes_them(house, requests, failed, every):
    async def story(hall):
        return hall.hall.failed_requests is not None, hall.hall.every_request is not None

    assert opened(house, story, log=Log(requests=requests)) == (failed, every)


def test_a23_each_start_marks_its_upstream_requests_with_a_word_of_its_own(house):
    async def story(hall):
        return hall.hall.hop

    one, other = opened(house, story), opened(house, story)
    assert len(one) == len(other) == 32
    assert one != other


def test_a_start_that_fails_halfway_leaves_the_folder_to_the_next(house, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(parts, "MemoryCounters", broken)
        with pytest.raises(KeyError):
            opened(house, nothing)
    with caplog.at_level(logging.DEBUG):
        opened(house, nothing)
    assert [path.name for path in house.data.glob("journal-*")] == []
