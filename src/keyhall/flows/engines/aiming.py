"""What `v1` and `v1.1` mean without the operator's word: first an upstream from the environment,
else a model that the operator added, else the house model, else the sandbox.

Whoever aims them leaves a line in the audit, and says so. An alias that the operator moved by hand
is nobody else's to move: who moved it last is what the audit says.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.models import house
from keyhall.flows.models.versions import SAMPLINGS, version_of
from keyhall.policy.catalogue import Catalogue, Version
from keyhall.ports.records import Actor, ModelRecord
from keyhall.stores import catalogue as rows

GIVEN = ("openai", "upstream")  # what the environment's engine is called
# What the aliases of the hall mean with nothing but the sandbox, in the order in which notes name
# them.
EMBEDDED = {
    "v1": "v1-sandbox-1",
    "keyhall-v1": "v1-sandbox-1",
    "v1.1": "v1.1-sandbox-1",
    "keyhall-v1.1": "v1.1-sandbox-1",
}
# Who moved an alias that may be moved again without asking.
ORIGIN = "models"
_OURS = ("start", "environment", ORIGIN)

Fresh = Callable[[str], Version]  # the record that would have this name


class Aiming:
    """One transaction that makes records and moves aliases."""

    def __init__(
        self,
        connection: AsyncConnection,
        there: Catalogue,
        actor: Actor,
        now_us: int,
        notes: list[str],
    ) -> None:
        self._connection = connection
        self._actor = actor
        self._versions = dict(there.versions)
        self._aliases = dict(there.aliases)
        self._now_us = now_us
        self._notes = notes

    def say(self, note: str) -> None:
        self._notes.append(note)

    async def name(self, model: str, engine: str, make: Fresh) -> bool:
        """Offer a model under its own name; False if that name means something else already."""
        meant = self._aliases.get(model)
        if model in self._versions or (meant and self._versions[meant].engine not in GIVEN):
            return False
        version = await self.record(model, engine, make)
        if meant == version.name:
            return True
        if meant is not None and not await self._is_ours(model):
            return False
        await self._move(model, version.name)
        return True

    async def record(
        self, stem: str, engine: str, make: Fresh, *, even_retired: bool = True
    ) -> Version:
        """The immutable record `<stem>-<engine>-<n>`: the equal one that is there, else a new one
        with the next n."""
        number = 1
        while True:
            fresh = make(f"{stem}-{engine}-{number}")
            found = self._versions.get(fresh.name)
            if found is None:
                stored = await rows.enter_version(
                    self._connection, fresh, self._actor, self._now_us
                )
                self._versions[stored.name] = stored
                return stored
            if found.fingerprint == fresh.fingerprint and (
                even_retired or found.status != "retired"
            ):
                return found
            number += 1

    async def aim(self, targets: Mapping[str, Version], *, is_told: bool) -> None:
        """Aim `v1`, `v1.1` and their long names. `is_told`: even what was moved by hand."""
        for alias, version in targets.items():
            names = (alias, f"keyhall-{alias}")
            await self._aim(dict.fromkeys(names, version.name), is_told=is_told)

    async def fall_back(
        self, models: Sequence[ModelRecord], engines: Collection[str] | None = None
    ) -> None:
        """What means one of these engines, or any, means the best of this machine instead: the
        first model that was added, else the house model, else the sandbox. What was moved by hand
        stays; that is worth a word only where it would mean what the environment gives no more."""
        asked = [
            alias
            for alias in EMBEDDED
            if alias in self._aliases  # Else somebody took it away.
            and (engines is None or self._means(alias).engine in engines)
        ]
        movable = [
            alias
            for alias in asked
            if self._means(alias).engine in GIVEN or await self._is_ours(alias)
        ]
        if movable:
            best = await self._best(models)
            await self._aim({alias: best[alias] for alias in movable}, is_told=False)

    async def _best(self, models: Sequence[ModelRecord]) -> Mapping[str, str]:
        if not models:
            return EMBEDDED
        first = min(models, key=house.stand)
        best: dict[str, str] = {}
        for alias, sampling in SAMPLINGS.items():
            make = partial(version_of, first, self._now_us, sampling=sampling)
            # What was retired went with its model: one that came back gets the next number.
            version = await self.record(alias, first.name, make, even_retired=False)
            best |= dict.fromkeys((alias, f"keyhall-{alias}"), version.name)
        return best

    def _means(self, alias: str) -> Version:
        return self._versions[self._aliases[alias]]

    async def _aim(self, targets: Mapping[str, str], *, is_told: bool) -> None:
        moved: dict[tuple[str, str], list[str]] = {}
        for alias, target in targets.items():
            before = self._aliases.get(alias, "nothing")
            if before == target:
                continue
            if not is_told and not await self._is_ours(alias):
                self.say(f"{alias} keeps meaning {before}, where it was moved by hand.")
                continue
            await self._move(alias, target)
            moved.setdefault((target, before), []).append(alias)
        for (target, before), aliases in moved.items():
            verb = "means" if len(aliases) == 1 else "mean"
            self.say(f"{' and '.join(aliases)} now {verb} {target} (before: {before}).")

    async def _is_ours(self, alias: str) -> bool:
        return await rows.alias_moved_from(self._connection, alias) in _OURS

    async def _move(self, alias: str, target: str) -> None:
        await rows.aim(self._connection, alias, target, self._actor, self._now_us)
        self._aliases[alias] = target
