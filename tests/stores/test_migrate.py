"""Migrations: they make the schema that the code expects, and never change once shipped."""

import asyncio
import hashlib
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from keyhall.stores import migrate
from keyhall.stores.accounts import tables as accounts  # noqa: F401 - part of the metadata
from keyhall.stores.content import tables as content  # noqa: F401 - likewise
from keyhall.stores.filters import tables as filters  # noqa: F401 - likewise
from keyhall.stores.leaks import tables as leaks  # noqa: F401 - likewise
from keyhall.stores.requests import tables as requests  # noqa: F401 - likewise
from keyhall.stores.review import tables as review  # noqa: F401 - likewise
from keyhall.stores.spending import tables as spending  # noqa: F401 - part of the metadata
from keyhall.stores.sqlite import open_store
from keyhall.stores.tables import metadata

# A line is added for each new migration and never changed: databases out there ran those bytes.
SHIPPED = {
    "0001_first.py": "c51b58f241b7cebcdce0bbed34f74d6eac32d87dd79d3a8db8c0b933de3fa09d",
    "0002_quotas.py": "a0afdfa5543fad77748c45ff8791bb4f3f9eca9fc9008902921b8a981af0c35d",
    "0003_disconnects.py": "268de0f94aff5be6d2a32566463c11557ac8c259ccac83511f1134c424ef15c0",
    "0004_alerts_again.py": "3184b452cd86bd09b30b3367a7ae3e1bb992a72c2461aa7d89484618a6992bfc",
    "0005_people.py": "bc729eee7534bb3a1e06472cb3532a5c876501cd5c7bce12821ca7fb1b164c3b",
    "0006_models.py": "7eb9563739fe56bb39dc5a3381cc267175b051ac66bd2e02f3b09586ffcb07ed",
    "0007_sampling.py": "532e69125003a77dc0ac8a0d78ac3fd33db507c6e8e4057d3abfc9cf89be31ae",
    "0008_content.py": "99b9f9bc25d51bf0895e57607f0714371bd2476efce41e36111da546456e2ae1",
    "0009_review.py": "a16b95fbe2f819e5b0abca404f574da861e8e3dc6feb5093ebbc0401ef231fd9",
    "0010_filters.py": "82c2608b39850bb2af3e16bdc11772bc9f965dd99b1daf1eb5b05c9574896d54",
    "0011_leaks.py": "63cdecf8307ada4b7335c3039571190c441e6f1f59f19c26793af91f71f9bed0",
    "0012_reports.py": "f88c5086a28ac9fb3bc0cfc1f58d4fdc77b59865c298f763e59cb288d88d3f31",
    "0013_filter_projects.py": "096663b0a55272f1fd6affbe68a9240f6008a10103d75c38ccd38d09db4a9464",
}


def migrated(path: Path) -> Path:
    async def make() -> None:
        await (await open_store(path)).close()

    asyncio.run(make())
    return path


# What is declared stands on lines; what a migration adds, behind a comma before the last bracket.
_PARTS = re.compile(r",\s*\n|\n\)|, (?=\w+ [A-Z]+)")


def _closed(part: str) -> str:
    part = part.strip()
    return part[:-1] if part.count(")") > part.count("(") else part


def schema_of(path: Path) -> dict[str, list[str]]:
    """Each table's and index's definition as its sorted parts; Alembic's own table left out."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        found = {
            name: sorted(map(_closed, filter(str.strip, _PARTS.split(sql.replace(chr(34), "")))))
            for name, sql in rows
            if name not in ("alembic_version", "sqlite_sequence")
        }
    connection.close()
    return found


def test_the_migrations_make_what_the_tables_say(tmp_path) -> None:
    by_migrations = migrated(tmp_path / "migrated.db")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert schema_of(by_migrations) == schema_of(tmp_path / "declared.db")


def test_alembic_sees_no_difference_either(tmp_path) -> None:
    engine = sa.create_engine(f"sqlite:///{migrated(tmp_path / 'migrated.db')}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_shipped_migration_is_never_edited() -> None:
    folder = migrate.MIGRATIONS / "versions"
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.py")
    }
    assert digests == SHIPPED


def test_head_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_a_database_of_a_later_release_is_refused(tmp_path) -> None:
    path = migrated(tmp_path / "keyhall.db")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(migrate.SchemaTooNew, match="schema 9999; this release knows up to"):
        asyncio.run(open_store(path))


def test_two_processes_that_start_at_once_make_one_schema(tmp_path) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from keyhall.stores.sqlite import open_store\n"
        "async def work():\n"
        "    store = await open_store(Path(sys.argv[1]))\n"
        "    await store.close()\n"
        "asyncio.run(work())\n"
    )
    path = tmp_path / "keyhall.db"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in started:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    assert "keys" in schema_of(path)


def test_an_up_to_date_database_opens_without_alembic(tmp_path) -> None:
    """Every command opens the store: 0.2 s of imports would be felt."""
    path = migrated(tmp_path / "keyhall.db")
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from keyhall.stores.sqlite import open_store\n"
        "async def work():\n"
        "    await (await open_store(Path(sys.argv[1]))).close()\n"
        "asyncio.run(work())\n"
        "assert 'alembic' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
