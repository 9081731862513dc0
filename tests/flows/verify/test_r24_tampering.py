"""R24: a verification of an honest hall finds nothing, and of a spoiled one what was done to it."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from keyhall.ports.records import Actor
from keyhall.stores import notes, organizations, tables
from keyhall.stores.spending import quotas
from keyhall.stores.sqlite import open_store

NOW_US = 1_800_000_000_000_000 + 25 * 3_600_000_000  # on the second day, behind all rows

# What somebody does to the database; which checks must notice.
TAMPERED = {
    "a token more": (
        "UPDATE usage SET input_tokens = input_tokens + 1 WHERE number = 20",
        {"chain", "cost", "roll-up", "quota"},
    ),
    "a request moved to another key": (
        "UPDATE usage SET key_id = 'key_000000000000' WHERE number = 20",
        {"chain", "roll-up", "quota", "overage"},
    ),
    "a request made a test": (
        "UPDATE usage SET is_test = 1 WHERE number = 20",
        {"chain", "cost", "roll-up", "quota", "overage"},
    ),
    "a cheaper request": (
        "UPDATE usage SET cost_nano = 1 WHERE number = 20",
        {"chain", "cost", "roll-up", "quota", "overage"},
    ),
    "another outcome": (
        "UPDATE usage SET outcome = 2 WHERE number = 3",
        {"chain", "roll-up"},
    ),
    "another policy for clients that leave": (
        "UPDATE usage SET on_disconnect = 1 WHERE number = 3",
        {"chain"},
    ),
    "an outcome that is none": ("UPDATE usage SET outcome = 77 WHERE number = 3", {"chain", "row"}),
    "text for a number": (
        "UPDATE usage SET held_tokens = 'many' WHERE number = 3",
        {"chain", "row"},
    ),
    "an end before the admission": (
        "UPDATE usage SET finished_at_us = 5 WHERE number = 3",
        {"chain", "row"},
    ),
    "another request id": (
        "UPDATE usage SET request_id = 'ffffffffffffffffffffffffffffffff' WHERE number = 20",
        {"chain", "overage"},
    ),
    "a row deleted": (
        "DELETE FROM usage WHERE number = 20",
        {"chain", "roll-up", "quota", "overage"},
    ),
    "the last row deleted": (
        "DELETE FROM usage WHERE number = (SELECT max(number) FROM usage)",
        {"chain", "roll-up", "quota", "overage"},
    ),
    "a row taken out of its chain": ("UPDATE usage SET batch = NULL WHERE number = 20", {"chain"}),
    "a row moved to another batch": (
        "UPDATE usage SET batch = batch + 1 WHERE number = 10",
        {"chain"},
    ),
    "a row moved to a batch that is complete": (
        "UPDATE usage SET batch = 1 WHERE number = 20",
        {"chain"},
    ),
    "a row added": (
        "INSERT INTO usage SELECT 1000, 'new', key_id, project_id, organization_id, version, "
        "endpoint, is_test, is_stream, admitted_at_us, finished_at_us, first_byte_us, input_tokens,"
        " output_tokens, held_tokens, output_cap, cost_nano, outcome, usage_source, batch, "
        "on_disconnect FROM usage WHERE number = 20",
        {"chain", "quota", "overage"},
    ),
    "a row added past the chain": (
        "INSERT INTO usage SELECT 1000, 'new', key_id, project_id, organization_id, version, "
        "endpoint, is_test, is_stream, admitted_at_us, finished_at_us, first_byte_us, input_tokens,"
        " output_tokens, held_tokens, output_cap, cost_nano, outcome, usage_source, NULL, "
        "on_disconnect FROM usage WHERE number = 20",
        {"chain", "quota", "overage"},
    ),
    "a batch deleted, its rows left": (
        "DELETE FROM usage_batches WHERE number = 4",
        {"chain", "anchor"},
    ),
    "a batch's count changed": (
        "UPDATE usage_batches SET rows = rows - 1 WHERE number = 4",
        {"chain"},
    ),
    "a batch's digest changed": (
        "UPDATE usage_batches SET digest = zeroblob(32) WHERE number = 4",
        {"chain", "anchor"},
    ),
    "a batch chained to another": (
        "UPDATE usage_batches SET previous = zeroblob(32) WHERE number = 4",
        {"chain"},
    ),
    "batches in another order": (
        "UPDATE usage_batches SET sequence = 102 WHERE number = 4;"
        "UPDATE usage_batches SET sequence = 2 WHERE number = 5;"
        "UPDATE usage_batches SET sequence = 3 WHERE number = 4",
        {"chain", "anchor"},
    ),
    "an audit row changed": ("UPDATE audit SET who = 'operator:eve' WHERE number = 3", {"audit"}),
    "an audit row deleted": ("DELETE FROM audit WHERE number = 3", {"audit"}),
    "the last audit row deleted": (
        "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)",
        {"audit"},
    ),
    "an audit row added": (
        "INSERT INTO audit (at_us, who, origin, action, target) VALUES (1, 'a', 'b', 'c', 'd')",
        {"audit"},
    ),
    "an anchor changed": (
        """UPDATE audit SET after = '{"sequence":1,"digest":"00"}' WHERE number = """
        "(SELECT max(number) FROM audit WHERE action = 'chain.anchor')",
        {"audit", "anchor"},
    ),
    "an anchor emptied": (
        "UPDATE audit SET after = NULL WHERE number = "
        "(SELECT max(number) FROM audit WHERE action = 'chain.anchor')",
        {"audit", "anchor"},
    ),
    "an hour changed": ("UPDATE usage_hourly SET output_tokens = output_tokens - 1", {"roll-up"}),
    "an hour deleted": (
        "DELETE FROM usage_hourly WHERE hour_us = (SELECT max(hour_us) FROM usage_hourly)",
        {"roll-up"},
    ),
    "an hour added": (
        "INSERT INTO usage_hourly SELECT hour_us + 3600000000, key_id, version, project_id, "
        "organization_id, is_test, requests, input_tokens, output_tokens, cost_nano, unanswered, "
        "estimated FROM usage_hourly LIMIT 1",
        {"roll-up"},
    ),
    "an hour of a project changed": (
        "UPDATE project_hours SET cost_nano = cost_nano + 1",
        {"roll-up"},
    ),
    "an hour of a project deleted": (
        "DELETE FROM project_hours WHERE hour_us = (SELECT max(hour_us) FROM project_hours)",
        {"roll-up"},
    ),
    "a day of a key changed": ("UPDATE key_days SET requests = requests + 1", {"roll-up"}),
    "a day of a key moved": ("UPDATE key_days SET day_us = day_us - 864000000000", {"roll-up"}),
    "a count of refusals below one": ("UPDATE refusals_minutes SET count = 0", {"refusals"}),
    "a count of refusals of no minute": (
        "UPDATE refusals_minutes SET minute_us = minute_us + 1",
        {"refusals"},
    ),
    "a count of refusals of another organization": (
        "UPDATE refusals_minutes SET organization_id = 'org_000000000000'",
        {"refusals"},
    ),
    "a total changed": (
        "UPDATE quota_totals SET used = used - 1 WHERE quota_id = 'quota_3'",
        {"quota"},
    ),
    "a total deleted": ("DELETE FROM quota_totals WHERE quota_id = 'quota_1'", {"quota"}),
    "a total of another period": (
        "UPDATE quota_totals SET period_us = period_us + 1 WHERE quota_id = 'quota_1'",
        {"quota"},
    ),
    "a sum of holds changed": ("UPDATE quota_totals SET held = 0", {"quota"}),
    "a hold deleted": ("DELETE FROM quota_holds", {"quota"}),
    "a hold moved": ("UPDATE quota_holds SET period_us = 1", {"quota"}),
    "a quota deleted, its totals left": ("DELETE FROM quotas WHERE id = 'quota_0'", {"quota"}),
    "an overage row deleted": (
        "DELETE FROM overage WHERE number = "
        "(SELECT max(number) FROM overage WHERE quota_id = 'quota_2')",
        {"overage"},
    ),
    "an overage row of a running month deleted": (
        "DELETE FROM overage WHERE quota_id = 'quota_1'",
        {"overage"},
    ),
    "cheaper overage": ("UPDATE overage SET cost_nano = 0 WHERE quota_id = 'quota_2'", {"overage"}),
    "overage at another price": (
        "UPDATE overage SET price = 0, cost_nano = 0 WHERE quota_id = 'quota_2'",
        {"overage"},
    ),
    "overage of another key": ("UPDATE overage SET key_id = 'key_000000000000'", {"overage"}),
    "more units than the request had": (
        "UPDATE overage SET units = 2, cost_nano = 4000 WHERE quota_id = 'quota_1'",
        {"overage"},
    ),
    "overage of a request that is not there": (
        "INSERT INTO overage SELECT NULL, 'new', 'quota_9', organization_id, key_id, period_us, "
        "admitted_at_us, units, price, cost_nano FROM overage LIMIT 1",
        {"overage"},
    ),
    "a price changed": ("UPDATE prices SET input = input + 1000", {"cost"}),
    "a key without its project": (
        "UPDATE keys SET project_id = 'proj_gone'",
        {"database"},
    ),
}


def test_r24_an_honest_hall_has_no_difference(hall) -> None:
    found = hall.verify()
    assert found.differences == []
    assert (found.rows, found.batches, found.writers) == (27, 6, 2)
    assert (found.anchors, found.quotas) == (5, 4)
    assert found.audit_rows > 10
    assert found.totals == 6
    assert found.overage_rows >= 10, "or nothing of it would be compared"
    assert found.notes == []


@pytest.mark.parametrize("done", TAMPERED)
def test_r24_what_was_tampered_with_is_found(hall, done) -> None:
    statement, checks = TAMPERED[done]
    for each in statement.split(";"):
        hall.sql(each)
    found = hall.verify()
    assert {each.check for each in found.differences} >= checks, found.differences


def test_r24_a_batch_removed_with_its_rows_is_missed_by_its_anchor(hall) -> None:
    """Whoever takes the newest batch, its rows, and makes all sums fit again."""
    hall.sql("DELETE FROM usage WHERE batch = 6")
    hall.sql("DELETE FROM usage_batches WHERE number = 6")
    hall.sql("DELETE FROM usage_hourly")
    hall.sql("DELETE FROM project_hours")
    hall.sql("DELETE FROM key_days")
    hall.sql("DELETE FROM meta WHERE name LIKE '%rolled_up_to'")
    hall.sql("DELETE FROM quotas")
    hall.sql("DELETE FROM quota_totals")
    hall.sql("DELETE FROM quota_holds")
    hall.sql("DELETE FROM overage")
    [difference] = hall.verify().differences
    assert difference.check == "anchor"
    assert difference.found == "nothing"
    assert "the end of this chain was removed" in difference.means


def test_r24_batches_in_the_wrong_order_are_named(hall) -> None:
    hall.sql("UPDATE usage_batches SET number = 100 WHERE number = 4")
    hall.sql("UPDATE usage SET batch = 100 WHERE batch = 4")
    words = [each.means for each in hall.verify().differences]
    assert any("another order" in said for said in words)


def test_r23_a_hall_whose_days_moved_has_no_difference(hall) -> None:
    """Totals are summed up again then; overage of the old days stays as it was recorded."""

    async def move():
        async with await open_store(hall.database) as store, store.writing() as connection:
            [before] = await organizations.list_organizations(connection, 10)
            after = replace(before, time_zone="Asia/Kolkata")
            await connection.execute(tables.organizations.update().values(time_zone="Asia/Kolkata"))
            await notes.record(connection, Actor("t", "t"), NOW_US, action="organization.zone",
                               target=before.id, before=before, after=after)  # fmt: skip
            for quota in await quotas.list_all(connection):
                await quotas.recompute(connection, quota, NOW_US)

    asyncio.run(move())
    found = hall.verify()
    assert found.differences == []
    hall.sql("UPDATE quota_totals SET used = used - 1 WHERE quota_id = 'quota_1'")
    assert [each.check for each in hall.verify().differences] == ["quota"]


def test_r23_an_amount_that_changed_is_no_difference(hall) -> None:
    async def change():
        async with await open_store(hall.database) as store, store.writing() as connection:
            quota = await quotas.find(connection, "quota_2")
            other = msgspec.structs.replace(quota, amount=5, overage_price=9)
            await quotas.replace(connection, other)
            await notes.record(connection, Actor("t", "t"), NOW_US, action="quota.change",
                               target=quota.id, before=None, after=None)  # fmt: skip

    asyncio.run(change())
    assert hall.verify().differences == []


def test_rows_older_than_the_chains_are_counted_and_no_difference(hall) -> None:
    hall.sql("UPDATE usage SET batch = NULL")
    hall.sql("DELETE FROM usage_batches")
    hall.sql("UPDATE audit SET digest = NULL")
    found = hall.verify()
    assert found.differences == []
    assert (found.unchained, found.audit_unchained) == (27, found.audit_rows)
    assert "27 usage rows" in found.notes[0]


def test_a_damaged_file_is_a_difference_and_no_failure(hall) -> None:
    hall.sql("PRAGMA journal_mode = DELETE")
    content = bytearray(hall.database.read_bytes())
    # Pages of a table, and none of the schema: else the file could not be opened at all.
    ((page,),) = hall.sql("SELECT rootpage FROM sqlite_master WHERE name = 'usage'")
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    hall.database.write_bytes(content)
    found = hall.verify()
    assert "database" in {each.check for each in found.differences}
