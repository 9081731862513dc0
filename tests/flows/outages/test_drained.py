"""An engine that its operator drains gets no new requests: fallbacks answer, or nobody does."""

from dataclasses import replace

from keyhall import errors


def test_fallbacks_answer_while_an_engine_is_drained_and_it_answers_again_after(on_stage):
    async def main(stage):
        hall = stage.hall
        hall.catalogue = replace(
            hall.catalogue,
            aliases={**hall.catalogue.aliases, "house": "up-1"},
            fallbacks={"house": ("own-1",)},
        )
        key = await stage.known_key()
        stage.own.script = ["Hello"]
        hall.breakers.keep(hall.engines, {"upstream"})
        answered = await stage.ask(key, model="house")
        assert answered.error is None
        assert b"x-keyhall-fallback: from=up-1" in bytes(answered.head)
        refused = await stage.ask(key, model="up-1")
        assert refused.error.problem is errors.ENGINE_BUSY
        assert "takes no new requests for a while" in str(refused.error)
        hall.breakers.keep(hall.engines)
        stage.upstream.script = ["Hello"]
        assert (await stage.ask(key, model="up-1")).error is None

    on_stage(main)
