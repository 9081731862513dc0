"""Migrations on PostgreSQL: the same scripts, by one process, and later by a person."""

import asyncio
import json
import subprocess
import sys

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner

from keyhall.cli import main
from keyhall.stores import migrate
from keyhall.stores.filters import tables as filters  # noqa: F401 - likewise
from keyhall.stores.postgres.store import PostgresStore, open_store
from keyhall.stores.spending import tables as spending  # noqa: F401 - part of the metadata
from keyhall.stores.tables import metadata

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
ORDER BY table_name, column_name
"""
INDEXES = """
SELECT tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY indexname
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text AS owner, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
AND conrelid::regclass::text <> 'alembic_version' ORDER BY owner, conname
"""


@pytest.fixture
def empty(postgres):
    return postgres.create()


@pytest.fixture
def migrated(empty):
    asyncio.run(opened(empty))
    return empty


async def opened(url):
    await (await open_store(url)).close()


def on(url, work):
    async def inside():
        async with PostgresStore(url) as store, store._engine.begin() as connection:
            return await connection.run_sync(work)

    return asyncio.run(inside())


def schema_of(url):
    async def look():
        line = await asyncpg.connect(url)
        found = [await line.fetch(query) for query in (COLUMNS, INDEXES, CONSTRAINTS)]
        await line.close()
        return [[tuple(row) for row in rows] for rows in found]

    return asyncio.run(look())


def database_command(url, tmp_path, *arguments):
    environment = {"KEYHALL_DATABASE_URL": url, "KEYHALL_DATA": str(tmp_path / "data")}
    return CliRunner().invoke(main, arguments, env=environment)


def pretend(url, revision):
    statement = sa.text("UPDATE alembic_version SET version_num = :revision")
    on(url, lambda connection: connection.execute(statement, {"revision": revision}))


def test_the_migrations_make_what_the_tables_say(migrated, postgres) -> None:
    declared = postgres.create()
    on(declared, metadata.create_all)
    by_migrations, by_tables = schema_of(migrated), schema_of(declared)
    assert by_migrations == by_tables
    assert len(by_migrations[0]) > 100


def test_alembic_sees_no_difference_either(migrated) -> None:
    def compare(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert on(migrated, compare) == []


def test_processes_that_start_at_once_on_an_empty_database_make_one_schema(empty) -> None:
    code = (
        "import asyncio, sys\n"
        "from keyhall.stores.postgres.store import open_store\n"
        "async def work():\n"
        "    await (await open_store(sys.argv[1])).close()\n"
        "asyncio.run(work())\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, empty], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    assert schema_of(empty)[0]


def test_a_schema_of_a_later_release_is_refused(migrated, tmp_path) -> None:
    pretend(migrated, "9999")
    with pytest.raises(migrate.SchemaTooNew, match="schema 9999; this release knows up to"):
        asyncio.run(opened(migrated))
    refused = database_command(migrated, tmp_path, "database", "upgrade")
    assert refused.exit_code == 1
    assert "a later one" in refused.output
    told = database_command(migrated, tmp_path, "database", "status", "--json")
    assert json.loads(told.output)["state"] == "ahead"


def test_a_schema_of_an_earlier_release_waits_for_a_person(migrated, tmp_path, monkeypatch) -> None:
    """A server of the release before may be running on it."""
    monkeypatch.setattr(migrate, "HEAD", "0099")
    with pytest.raises(migrate.SchemaBehind, match="`keyhall database upgrade`"):
        asyncio.run(opened(migrated))
    for command in (["keys", "list"], ["serve", "--port", "0"]):
        refused = database_command(migrated, tmp_path, *command)
        assert refused.exit_code == 1
        assert "needs 0099. Bring it up to date with `keyhall database upgrade`" in refused.output
    told = database_command(migrated, tmp_path, "database", "status")
    assert "this release needs 0099: keyhall database upgrade" in told.output


def test_an_upgrade_may_be_repeated_and_says_what_it_did(empty, tmp_path) -> None:
    before = database_command(empty, tmp_path, "database", "status", "--json")
    assert json.loads(before.output)["state"] == "empty"
    first = database_command(empty, tmp_path, "database", "upgrade")
    assert first.exit_code == 0, first.output
    assert f"was empty and is {migrate.HEAD} now" in first.output
    again = json.loads(database_command(empty, tmp_path, "database", "upgrade", "--json").output)
    assert (again["state"], again["was"], again["schema"]) == ("current", *[migrate.HEAD] * 2)
    assert "keyhall@" not in again["database"], "the place, not the address"


def test_commands_make_nothing_in_a_database_that_was_mistyped(empty, tmp_path) -> None:
    refused = database_command(empty, tmp_path, "keys", "list")
    assert refused.exit_code == 1
    assert "There is no Keyhall data in PostgreSQL at 127.0.0.1" in refused.output
    assert schema_of(empty)[0] == []
    made = database_command(empty, tmp_path, "keys", "create", "--name", "app", "--json")
    assert json.loads(made.output)["id"].startswith("key_")


def test_a_machine_without_the_pepper_is_refused_and_makes_none(migrated, tmp_path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    database_command(migrated, first, "keys", "create", "--name", "app")
    refused = database_command(migrated, second, "keys", "list")
    assert refused.exit_code == 1
    assert "KEYHALL_KEYS_PEPPER" in refused.output
    assert not (second / "data" / "pepper").exists()
