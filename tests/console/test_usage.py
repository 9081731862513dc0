"""`/usage`: the same numbers as the ledger's, for whoever may see them."""

import csv
import io

from plain_http import chat

from keyhall.flows.manage.usage import report


async def asked(server, name="test", times=1, **options):
    """A key that has asked so often."""
    made = await server.make_key(name, **options)
    line = await server.line()
    for _ in range(times):
        assert (await line.ask(made.text.reveal(), chat("Hello"))).status == 200
    await server.hall.ledger.flush()
    return made.key


async def data_of(browser, query=""):
    assert await browser.visit(f"/usage/data{query}") == 200
    return browser.response.json()


def test_the_page_and_its_data_say_what_the_command_says_to_the_token(hall):
    async def story(hall):
        for number in range(3):
            await asked(hall.server, f"key {number}", times=number + 1)
            hall.server.clock.advance(1800)
        command = await report(hall.store, "key", since_us=None, until_us=None)
        for grain in ("minute", "hour", "day", "month"):
            for by in ("none", "key", "model", "project", "outcome", "person"):
                data = await data_of(hall.browser, f"?range=24h&grain={grain}&by={by}")
                assert data["grain"] == grain
                total = data["total"]
                assert total["requests"] == command.total.requests == 6
                assert total["input_tokens"] == command.total.input_tokens
                assert total["output_tokens"] == command.total.output_tokens
                assert sum(sum(group["requests"]) for group in data["groups"]) == 6
                assert len(data["starts"]) == len(data["labels"]) == len(data["all"]["tokens"])
        assert await hall.browser.visit("/usage?by=key&range=24h") == 200
        assert "key 2" in hall.browser.text

    hall(story)
