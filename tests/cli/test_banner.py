"""What a start says: who answers, what is wrong, what the last run left."""

import asyncio
import shutil
import sys

import pytest

from keyhall import app
from keyhall.cli import banner
from keyhall.clock import ManualClock
from keyhall.config import Config, Models, Server
from keyhall.ledger.recovery import Recovered
from keyhall.policy.catalogue import Version
from keyhall.stores.catalogue import aim, enter_version

NOW = 1_800_000_000


@pytest.fixture
def said(house, monkeypatch):
    """`said(change)` is what a start says of who answers, after `change(connection)`."""
    monkeypatch.setattr(sys, "argv", ["keyhall"])
    monkeypatch.setattr(shutil, "which", lambda _: sys.argv[0])

    async def start(change):
        clock = ManualClock(house.now_us)
        config = Config(data=house.data, models=Models(house=False))
        async with (
            app.open_house(config, "http://127.0.0.1:8484", clock) as opened,
            opened.store.writing() as connection,
        ):
            await change(connection)
        async with app.open_house(config, "http://127.0.0.1:8484", clock) as opened:
            return banner.who_answers(opened, config)

    return lambda change: asyncio.run(start(change))


def moved(house, alias, engine):
    async def change(connection):
        version = Version(0, "house-1", engine, "m", house.now_us)
        await enter_version(connection, version, house.actor, house.now_us)
        await aim(connection, alias, "house-1", house.actor, house.now_us)
        await connection.exec_driver_sql(
            "INSERT INTO engines (name, url, created_at_us) VALUES ('vllm', 'http://x/v1', 1)"
        )

    return change


async def nothing(_connection):
    pass


async def without_v1(connection):
    await connection.exec_driver_sql("UPDATE aliases SET name = 'other' WHERE name = 'v1'")


def test_the_sandbox_says_that_it_is_none_and_what_to_do(said):
    (line,) = said(nothing)
    assert line.startswith("v1 answers from the sandbox, which is not an AI. For a real model")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: nothing,
        lambda _: without_v1,
        lambda house: moved(house, "v1", "gone"),
    ],
)
def test_a_command_that_a_start_names_works_as_it_stands(said, house, call, change):
    """In any shell: on this folder, with names that are taken."""
    (line,) = said(change(house))
    command = line.rpartition("keyhall ")[2].splitlines()[0]
    assert command.endswith(f"--data {house.data}")
    assert call(*command.split()).status == 0


def test_where_there_is_another_engine_nobody_is_told_to_add_one(said, house):
    assert said(moved(house, "other", "vllm")) == [
        "v1 answers from the sandbox, which is not an AI."
    ]


def test_a_real_model_is_named(said, house):
    assert said(moved(house, "v1", "vllm")) == [
        "v1 answers from house-1 (engine vllm). From another:\n"
        f"  keyhall aliases move v1 VERSION --data {house.data}"
    ]


def test_an_engine_that_is_not_there_is_named_with_the_way_out(said, house):
    assert said(moved(house, "v1", "gone")) == [
        "v1 means house-1, but there is no engine gone: add it, or keyhall aliases move v1 "
        f"v1-sandbox-1 --data {house.data}"
    ]


def test_an_alias_that_is_gone_is_told_with_the_way_back(said, house):
    assert said(without_v1) == [
        f"v1 means nothing: keyhall aliases move v1 v1-sandbox-1 --data {house.data}"
    ]


@pytest.mark.parametrize(
    ("server", "until", "lines"),
    [
        (Server(), None, 0),
        (Server(host="::1"), None, 0),
        (Server(host="localhost"), None, 0),
        (Server(host="::ffff:127.0.0.1"), None, 0),
        (Server(host="0.0.0.0"), None, 1),
        (Server(host="keys.example.org"), None, 1),
        (Server(host="0.0.0.0", tls_cert="c", tls_key="k"), NOW + 90 * 86_400, 0),
        (Server(host="0.0.0.0", tls_cert="c", tls_key="k"), NOW + 86_400, 1),
        (Server(tls_cert="c", tls_key="k"), NOW - 1, 1),
    ],
)
def test_r26_warnings_are_for_what_deserves_them(tmp_path, server, until, lines):
    config = Config(data=tmp_path, server=server)
    assert len(banner.warnings(config, until, NOW)) == lines


class House:
    def __init__(self, recovered):
        self.recovered = recovered


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (Recovered(), []),
        (
            Recovered(spooled=1),
            [
                "The database was away when the last run ended: "
                "1 usage record came in from the spool."
            ],
        ),
        (
            Recovered(spooled=1_200),
            [
                "The database was away when the last run ended: "
                "1,200 usage records came in from the spool."
            ],
        ),
        (
            Recovered(crashed=1),
            [
                "The last run ended suddenly: 1 of its requests is now recorded; it was still "
                "running."
            ],
        ),
        (
            Recovered(settled=1),
            ["The last run ended suddenly: 1 of its requests is now recorded."],
        ),
        (
            Recovered(settled=2, crashed=1),
            [
                "The last run ended suddenly: 3 of its requests are now recorded; 1 of them was "
                "still running."
            ],
        ),
        (
            Recovered(settled=1, crashed=2),
            [
                "The last run ended suddenly: 3 of its requests are now recorded; 2 of them were "
                "still running."
            ],
        ),
        (
            Recovered(crashed=1, lost=2, damaged=("journal-1.bin: the slot at byte 1 is damaged",)),
            [
                "The last run ended suddenly: 3 of its requests are now recorded; all were still "
                "running, 2 charged in full because the count is lost.",
                "journal-1.bin: the slot at byte 1 is damaged: nobody could be charged for it.",
            ],
        ),
    ],
)
def test_r17_what_the_last_run_left_is_told(found, lines):
    assert banner.recovered(House(found)) == lines


def test_commands_are_named_as_this_one_was_called(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "venv" / "keyhall"
    program.parent.mkdir()
    program.touch()
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    assert banner.program() == "keyhall"
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert banner.program() == "venv/keyhall"
    monkeypatch.setattr(sys, "argv", ["/x/keyhall/__main__.py"])
    assert banner.program() == "python -m keyhall"
