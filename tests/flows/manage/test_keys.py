"""A key's life (R10, R13-R15, R25), with the rules of access deciding what it may do."""

from dataclasses import replace

import pytest
from made_keys import by, make_key, make_project

from keyhall.flows.manage import keys as manage
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy import access, keys
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import BUILT_IN, effective

DAY_US = 24 * 3_600_000_000
SECOND_US = 1_000_000


async def turn(house, store, wanted, overlap_us=DAY_US, after_us=0):
    return await manage.rotate(
        store,
        wanted,
        overlap_us=overlap_us,
        pepper=house.peppers[0],
        entropy=house.entropy(),
        **by(house, after_us),
    )


async def refusal(house, store, key_id, after_us=0, **asked):
    """The code with which R13 refuses the key, or None."""
    grant = await store.find_grant_by_id(key_id)
    denied = access.decide(
        grant,
        **{
            "now_us": house.now_us + after_us,
            "ip": "192.0.2.7",
            "endpoint": "chat",
            "model": "v1",
            **asked,
        },
    )
    return denied and denied.problem.code


def test_r25_a_new_key_works_and_bears_its_id(house) -> None:
    async def work(store):
        fresh = await make_key(house, store, tier="pay-as-you-go")
        text = fresh.text.reveal().encode()
        grant = await store.find_grant(keys.digest(house.peppers[0], text))
        return fresh, grant, await refusal(house, store, fresh.key.id)

    fresh, grant, refused = house.run(work)
    assert fresh.key.id == grant.key_id == keys.parse(fresh.text.reveal()).id
    assert (grant.tier, grant.mode, grant.project_name) == (
        "pay-as-you-go",
        "live",
        "Default project",
    )
    assert refused is None
    assert fresh.text.reveal() not in repr(fresh)


def test_r10_a_key_without_a_tier_is_on_free_trial(house) -> None:
    assert house.run(lambda store: make_key(house, store)).key.tier == "free-trial"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": "  "}, "The name is empty"),
        ({"name": "x" * 101}, "101 characters; 100 fit"),
        ({"name": "a\x1b[2Jb"}, r"cannot be seen \(U\+001B\)"),
        ({"name": "a\u202eb"}, r"cannot be seen \(U\+202E\)"),
        ({"tier": "free-trail"}, "no tier 'free-trail'. Did you mean free-trial?"),
        ({"tier": "zzz"}, "no tier 'zzz'. Tiers: free-trial, pay-as-you-go"),
        ({"expires_at_us": 1}, "which has passed"),
        ({"models": ["v1 "]}, "'v1 ' is not a model's name"),
        ({"models": [""]}, "'' is not a model's name"),
        ({"models": ["m"] * 101}, "101 models are too many; 100 fit"),
        ({"endpoints": ["embeddings"]}, "'embeddings' is not an endpoint; expected chat, models"),
        ({"networks": ["10.0.0.1/8"]}, "did you mean 10.0.0.0/8?"),
        ({"networks": ["localhost"]}, "neither an address nor a network"),
        ({"networks": ["10.0.0.0/8"] * 101}, "101 networks are too many"),
        ({"limits": Limits(0)}, "A limit of 0 makes no sense"),
        ({"limits": Limits(None, 10**13)}, "A limit of 10,000,000,000,000 makes no sense"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_with_a_sentence(house, asked, sentence) -> None:
    async def work(store):
        with pytest.raises(Invalid, match=sentence):
            await make_key(house, store, **{"name": "app", **asked})
        return await store.last_change()

    assert house.run(work) == house.run(lambda store: store.last_change())


def test_an_unknown_project_is_named(house) -> None:
    with pytest.raises(NotFound, match="No project with id or name nosuch"):
        house.run(lambda store: make_key(house, store, project="nosuch"))


def test_lists_are_stored_in_one_form(house) -> None:
    key = house.run(
        lambda store: make_key(
            house,
            store,
            name="  spaced  ",
            networks=[" 2001:DB8::/32", "10.0.0.7", "10.0.0.7/32"],
            models=["v1", "v1"],
        )
    ).key
    assert key.name == "spaced"
    assert key.networks == ("2001:db8::/32", "10.0.0.7/32")
    assert key.models == ("v1",)


def test_a_key_is_found_by_id_by_its_twelve_characters_and_by_name(house) -> None:
    async def work(store):
        fresh = await make_key(house, store)
        return fresh.key, [
            await manage.find(store, wanted, house.now_us)
            for wanted in (fresh.key.id, fresh.key.id[4:], "app")
        ]

    key, found = house.run(work)
    assert found == [key] * 3


def test_a_name_that_two_keys_in_use_have_is_ambiguous(house) -> None:
    async def work(store):
        one = (await make_key(house, store)).key
        two = (await make_key(house, store)).key
        with pytest.raises(Invalid, match=r"2 keys are called 'app': key_.*, key_.* Use an id"):
            await manage.find(store, "app", house.now_us)
        await manage.revoke(store, two.id, reason=None, **by(house))
        assert (await manage.find(store, "app", house.now_us)).id == one.id
        await manage.revoke(store, one.id, reason=None, **by(house))
        with pytest.raises(Invalid, match="2 keys"):
            await manage.find(store, "app", house.now_us)

    house.run(work)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("key_000000000000", "No key with id key_000000000000. `keyhall keys list` shows them"),
        ("nosuch", "No key with id or name nosuch"),
        ("", "No key with id or name"),
    ],
)
def test_a_key_that_is_not_there_is_named(house, wanted, sentence) -> None:
    with pytest.raises(NotFound, match=sentence):
        house.run(lambda store: manage.find(store, wanted, house.now_us))


def test_a_key_given_in_place_of_its_id_is_not_repeated(house) -> None:
    async def work(store):
        text = (await make_key(house, store)).text.reveal()
        with pytest.raises(Invalid) as caught:
            await manage.find(store, text, house.now_us)
        with pytest.raises(Invalid, match="`keyhall keys list` shows the ids"):
            await manage.find(store, text[:-1], house.now_us)
        return text, str(caught.value)

    text, said = house.run(work)
    assert text not in said
    assert keys.parse(text).id in said


def test_a_paused_key_is_refused_until_it_is_resumed(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        paused = await manage.pause(store, key_id, **by(house))
        again = await manage.pause(store, key_id, **by(house, DAY_US))
        refused = await refusal(house, store, key_id)
        resumed = await manage.resume(store, key_id, **by(house))
        return paused, again, refused, resumed, await refusal(house, store, key_id)

    paused, again, refused, resumed, works = house.run(work)
    assert paused == again, "a second pause does not move the first"
    assert (refused, works) == ("key_paused", None)
    assert [key.state(house.now_us) for key in (paused, resumed)] == ["paused", "active"]


def test_r14_a_revoked_key_never_works_again(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        revoked = await manage.revoke(store, key_id, reason=" leaked ", **by(house))
        assert await refusal(house, store, key_id) == "key_revoked"
        for act in (
            manage.pause(store, key_id, **by(house)),
            manage.resume(store, key_id, **by(house)),
            manage.rename(store, key_id, "new", **by(house)),
            manage.expire(store, key_id, None, **by(house)),
            manage.revoke(store, key_id, reason="again", **by(house)),
            manage.set_scopes(store, key_id, lambda key: key, **by(house)),
        ):
            with pytest.raises(Invalid, match="a revoked key never works again"):
                await act
        with pytest.raises(Invalid, match="is revoked; only an active key can be rotated"):
            await turn(house, store, key_id)
        return revoked

    revoked = house.run(work)
    assert revoked.revoked_reason == "leaked"
    assert revoked.state(house.now_us) == "revoked"


@pytest.mark.parametrize(("text", "kept"), [(None, None), ("  ", None), ("x" * 500, "x" * 500)])
def test_a_reason_is_optional(house, text, kept) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        return await manage.revoke(store, key_id, reason=text, **by(house))

    assert house.run(work).revoked_reason == kept


@pytest.mark.parametrize("text", ["x" * 501, "a\x00b"])
def test_a_reason_that_makes_no_sense_revokes_nothing(house, text) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        with pytest.raises(Invalid, match="The reason"):
            await manage.revoke(store, key_id, reason=text, **by(house))
        return await refusal(house, store, key_id)

    assert house.run(work) is None


@pytest.mark.parametrize("after_us", [-1, 0, 1])
def test_an_expiring_key_works_until_its_time_and_not_at_it(house, after_us) -> None:
    async def work(store):
        fresh = await make_key(house, store, expires_at_us=house.now_us + DAY_US)
        return fresh.key, await refusal(house, store, fresh.key.id, DAY_US + after_us)

    key, refused = house.run(work)
    assert refused == (None if after_us < 0 else "key_expired")
    assert key.state(house.now_us + DAY_US + after_us) == ("active" if after_us < 0 else "expired")


def test_the_end_of_a_keys_life_is_set_moved_and_removed(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        return [
            (await manage.expire(store, key_id, at_us, **by(house))).expires_at_us
            for at_us in (house.now_us + 5, house.now_us, None)
        ]

    assert house.run(work) == [house.now_us + 5, house.now_us, None]


def test_the_end_of_a_keys_life_is_not_in_the_past(house) -> None:
    """A year that was typed wrong would end the key at once."""

    async def work(store):
        key_id = (await make_key(house, store)).key.id
        with pytest.raises(Invalid, match=r"has passed; `keyhall keys expire KEY --at 0` ends"):
            await manage.expire(store, key_id, house.now_us - 1, **by(house))
        return (await manage.find(store, key_id, house.now_us)).expires_at_us

    assert house.run(work) is None


def test_a_key_is_renamed(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        await manage.rename(store, key_id, "better", **by(house))
        with pytest.raises(Invalid, match="empty"):
            await manage.rename(store, key_id, " ", **by(house))
        return await manage.find(store, "better", house.now_us)

    assert house.run(work).name == "better"


def test_scopes_are_changed_and_checked(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        await manage.set_scopes(
            store,
            key_id,
            lambda key: replace(
                key, models=("v1*",), endpoints=("chat",), networks=("192.0.2.0/24",)
            ),
            **by(house),
        )
        refusals = [
            await refusal(house, store, key_id),
            await refusal(house, store, key_id, model="other"),
            await refusal(house, store, key_id, endpoint="models", model=None),
            await refusal(house, store, key_id, ip="198.51.100.1"),
        ]
        with pytest.raises(Invalid, match="not an endpoint"):
            await manage.set_scopes(
                store, key_id, lambda key: replace(key, endpoints=("x",)), **by(house)
            )
        await manage.set_scopes(store, key_id, lambda key: replace(key, models=None), **by(house))
        return [*refusals, await refusal(house, store, key_id, model="other")]

    assert house.run(work) == [None, "missing_scope", "missing_scope", "ip_not_authorized", None]


def test_limits_and_tier_are_changed_and_checked(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id

        async def change(limits, tier=None):
            return await manage.set_limits(
                store, key_id, lambda _: limits, tier=tier, tiers=BUILT_IN, **by(house)
            )

        changed = await change(Limits(5, None, 2), "pay-as-you-go")
        same = await change(Limits(5, None, 2))
        with pytest.raises(Invalid, match="makes no sense"):
            await change(Limits(0))
        with pytest.raises(Invalid, match="no tier"):
            await change(Limits(), "nosuch")
        return changed, same

    changed, same = house.run(work)
    assert changed == same
    assert (changed.tier, changed.limits) == ("pay-as-you-go", Limits(5, None, 2))


# --- Rotation -------------------------------------------------------------------------------------


def test_a_successor_has_the_same_rights_and_another_secret(house) -> None:
    async def work(store):
        first = await make_key(
            house,
            store,
            mode="test",
            tier="pay-as-you-go",
            models=["v1"],
            endpoints=["chat"],
            networks=["192.0.2.0/24"],
            limits=Limits(9),
            expires_at_us=house.now_us + 30 * DAY_US,
        )
        await store.touch_keys({first.key.id: house.now_us})
        fresh, old = await turn(house, store, first.key.id, after_us=SECOND_US)
        return first, fresh, old, await manage.lineage(store, fresh.key)

    first, fresh, old, (before, after) = house.run(work)
    assert fresh.text != first.text
    assert fresh.key == replace(
        first.key,
        id=fresh.key.id,
        masked=fresh.key.masked,
        fingerprint=fresh.key.fingerprint,
        created_at_us=house.now_us + SECOND_US,
        rotated_from=first.key.id,
    )
    assert fresh.key.id != first.key.id
    assert old.expires_at_us == house.now_us + SECOND_US + DAY_US
    assert (before, after) == (old, None)


def test_r10_a_rotated_key_and_its_successors_share_one_window(house) -> None:
    """Rotating gives nothing extra, however often it is done."""

    async def work(store):
        key = (await make_key(house, store)).key
        windows = []
        for _ in range(3):
            grant = await store.find_grant_by_id(key.id)
            windows.append(effective(grant, BUILT_IN, house.now_us).windows)
            key = (await turn(house, store, key.id))[0].key
        return windows

    windows = house.run(work)
    assert windows[0] == windows[1] == windows[2]


@pytest.mark.parametrize("overlap_us", [0, 1, SECOND_US, DAY_US, 7 * DAY_US])
def test_the_old_key_works_for_the_overlap_and_not_longer(house, overlap_us) -> None:
    """Peers got it wrong in both directions: checked one second and one microsecond around."""

    async def work(store):
        old = (await make_key(house, store)).key
        new = (await turn(house, store, old.id, overlap_us))[0].key
        for around in (-SECOND_US, -1, 0, 1, SECOND_US):
            if overlap_us + around >= 0:
                refused = await refusal(house, store, old.id, overlap_us + around)
                assert refused == ("key_expired" if around >= 0 else None), around
            assert await refusal(house, store, new.id, overlap_us + around) is None

    house.run(work)


@pytest.mark.parametrize("overlap_us", [-1, 7 * DAY_US + 1])
def test_an_overlap_outside_of_seven_days_is_refused(house, overlap_us) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        with pytest.raises(Invalid, match="between 0 seconds and 7 days"):
            await turn(house, store, key_id, overlap_us)

    house.run(work)


def test_rotating_never_lengthens_a_life(house) -> None:
    async def work(store):
        key = (await make_key(house, store, expires_at_us=house.now_us + 5)).key
        fresh, old = await turn(house, store, key.id)
        return fresh.key.expires_at_us, old.expires_at_us

    assert house.run(work) == (house.now_us + 5,) * 2


def test_a_key_is_rotated_once_and_only_while_it_is_active(house) -> None:
    async def work(store):
        key_id = (await make_key(house, store)).key.id
        fresh, _ = await turn(house, store, key_id)
        with pytest.raises(Invalid, match=f"its successor is {fresh.key.id}"):
            await turn(house, store, key_id)
        await manage.pause(store, fresh.key.id, **by(house))
        with pytest.raises(Invalid, match="is paused; only an active key can be rotated"):
            await turn(house, store, fresh.key.id)
        with pytest.raises(Invalid, match="is expired; only an active key"):
            await turn(house, store, key_id, after_us=2 * DAY_US)

    house.run(work)


def test_a_name_means_the_successor_once_the_old_key_has_ended(house) -> None:
    async def work(store):
        key = (await make_key(house, store)).key
        fresh, _ = await turn(house, store, key.id)
        with pytest.raises(Invalid, match="2 keys are called 'app'"):
            await manage.find(store, "app", house.now_us)
        later = await manage.find(store, "app", house.now_us + DAY_US)
        return fresh.key.id, later.id

    fresh_id, found_id = house.run(work)
    assert found_id == fresh_id


def test_a_key_belongs_to_the_project_it_was_made_in(house) -> None:
    async def work(store):
        project = await make_project(house, store)
        return project, await make_key(house, store, project="web")

    project, fresh = house.run(work)
    assert (fresh.key.project_id, fresh.key.project_name) == (project.id, "web")
