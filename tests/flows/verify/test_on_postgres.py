"""R24 on PostgreSQL: the same hall adds up there, and what is done to it is found."""

import pytest

from keyhall.flows.verify import run

TAMPERED = {
    "nothing": ("SELECT 1", set()),
    "a token more": (
        "UPDATE usage SET input_tokens = input_tokens + 1 WHERE number = 20",
        {"chain", "cost", "roll-up", "quota"},
    ),
    "a row deleted": (
        "DELETE FROM usage WHERE number = 20",
        {"chain", "roll-up", "quota", "overage"},
    ),
    "the last batch deleted": (
        "DELETE FROM usage_batches WHERE number = (SELECT max(number) FROM usage_batches)",
        {"chain", "anchor"},
    ),
    "an audit row changed": ("UPDATE audit SET who = 'eve' WHERE number = 3", {"audit"}),
    "an hour changed": ("UPDATE usage_hourly SET output_tokens = output_tokens - 1", {"roll-up"}),
    "an hour of a project changed": ("UPDATE project_hours SET requests = 0", {"roll-up"}),
    "a day of a key changed": ("UPDATE key_days SET requests = 0", {"roll-up"}),
    "a count of refusals changed": ("UPDATE refusals_minutes SET count = 0", {"refusals"}),
    "a total changed": ("UPDATE quota_totals SET used = used - 1 WHERE used > 0", {"quota"}),
    "a hold deleted": ("DELETE FROM quota_holds", {"quota"}),
    "overage deleted": ("DELETE FROM overage", {"overage"}),
}


@pytest.mark.parametrize("done", TAMPERED)
def test_r24_what_is_done_to_a_hall_on_postgres_is_found(hall_on_postgres, done) -> None:
    statement, checks = TAMPERED[done]

    async def work(store):
        async with store.writing() as connection:
            await connection.exec_driver_sql(statement)
        return await run.verify(store, hall_on_postgres.data, is_served=False)

    found = hall_on_postgres.run(work)
    assert {each.check for each in found.differences} >= checks, found.differences
    assert bool(found.differences) == bool(checks), found.differences
    assert found.rows >= 26
