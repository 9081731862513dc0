"""The engines of a running hall: the sandbox, those the operator added, and the environment's.

Engines come and go while the hall runs (`keyhall engines add`, `remove`). One that is not wanted
any more gets no new requests; those it has under way end in peace, then it is closed. An engine
whose address may not be used is left out and said so: it keeps nobody else from being served.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyhall import tokenizers
from keyhall.config import Config
from keyhall.engines.local import process
from keyhall.engines.local.engine import LocalEngine
from keyhall.engines.sandbox.engine import SandboxEngine
from keyhall.engines.upstream.address import AddressRefused, Endpoint
from keyhall.engines.upstream.call import Deadlines
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.engines.upstream.pool import Sizes
from keyhall.flows.engines import use_upstream
from keyhall.flows.engines.aiming import GIVEN
from keyhall.flows.models.house import all_models
from keyhall.flows.models.sharing import share_of
from keyhall.policy.catalogue import Catalogue, Version, unserved
from keyhall.policy.secrets import Secret
from keyhall.ports.engine import Engine
from keyhall.ports.records import EngineRecord, ModelRecord
from keyhall.stores.sql import SqlStore
from keyhall.turn import Turn

SANDBOX = "sandbox"
# A request that has chosen its engine may count its tokens first: close no sooner.
LEAVING_SECONDS_MIN = 5.0
LEAVING_SECONDS_MAX = 3_600.0
_LOOK_SECONDS = 0.25
LOGS = "models"  # in the data folder: what llama.cpp says
NAMES_SHOWN = 3  # of versions, in a line about an engine that they lack
REFUSED = "requests for them get 503"


Leaving = UpstreamEngine | LocalEngine  # engines that are let go once their last request is over


@dataclass(frozen=True, slots=True)
class _Place:
    """What an upstream engine is made of: another place is another engine."""

    url: str
    key: Secret


@dataclass(frozen=True, slots=True)
class Unserved:
    """An engine that versions need and that is not here: for the operator."""

    engine: str
    names: str  # of the versions, with their aliases
    is_left_out: bool  # it is known, and cannot be used

    @property
    def is_given(self) -> bool:
        """It comes from the environment."""
        return self.engine in GIVEN

    @property
    def says(self) -> str:
        if self.is_left_out:
            return f"Engine {self.engine}, which is left out, should answer for {self.names}."
        return f"There is no engine {self.engine} for {self.names}."

    @property
    def advice(self) -> str:
        if self.is_left_out:
            return f"Until it can be used, {REFUSED}."
        add = f"`keyhall engines add {self.engine} --url URL`"
        way = "Set OPENAI_API_KEY as when they were offered" if self.is_given else add
        return f"{way}, or `keyhall versions retire` them: {REFUSED}."


class Engines:
    """`table` is what the hall uses; it is replaced, never changed."""

    def __init__(
        self,
        config: Config,
        *,
        url: str,
        own: Sequence[Endpoint] = (),
        hop: str = "",
        turn: Turn | None = None,
        worker: int | None = None,
    ) -> None:
        self._config = config
        self._worker = worker  # of several; None: the only one
        self._url = url
        self._own = own
        self.hop = hop
        self._outbox = turn.outbox if turn is not None else None
        self._places: dict[str, _Place] = {}
        self._leaving: dict[Leaving, asyncio.Task[None]] = {}
        self._models: set[str] = set()  # names of those in files
        self.models: Sequence[ModelRecord] = ()  # those of them that can answer
        self.table: Mapping[str, Engine] = {SANDBOX: _sandbox(config, turn)}
        # What the operator should know of the last `refresh`.
        self.left_out: list[str] = []  # a line for each engine
        self.without_key: dict[str, str] = {}  # and the variable that should hold it
        self.drained: frozenset[str] = frozenset()  # those that get no new requests

    @property
    def notes(self) -> list[str]:
        """All of that, for who runs the server."""
        keyless = [
            f"Engine {name} gets no key: {variable} is not set in the server's environment."
            for name, variable in self.without_key.items()
        ]
        return keyless + self.left_out

    @property
    def of_environment(self) -> UpstreamEngine | None:
        """The engine that the environment names, if it could be made."""
        for name in GIVEN:
            engine = self.table.get(name)
            if isinstance(engine, UpstreamEngine):
                return engine
        return None

    async def load(self, store: SqlStore) -> None:
        """`refresh` with all that the store and the package know."""
        self.refresh(await store.list_engines(), await all_models(store, self._config))

    def refresh(self, records: Sequence[EngineRecord], models: Sequence[ModelRecord] = ()) -> None:
        """Make what is new, keep what is the same, let go of what is not wanted any more."""
        self.left_out, self.without_key = [], {}
        self.drained = frozenset(each.name for each in records if each.drained_at_us is not None)
        table: dict[str, Engine] = {SANDBOX: self.table[SANDBOX]}
        places = self._wanted(records)
        for name, place in places.items():
            if self._places.get(name) == place and name in self.table:
                table[name] = self.table[name]
                continue
            try:
                table[name] = self._upstream(name, place)
            except AddressRefused as error:
                self.left_out.append(f"Engine {name} is left out: {error}.")
        self._add_local(models, table)
        self.models = [each for each in models if isinstance(table.get(each.name), LocalEngine)]
        old, self.table, self._places = self.table, table, places
        for name, engine in old.items():
            if table.get(name) is not engine and isinstance(engine, UpstreamEngine | LocalEngine):
                task = asyncio.get_running_loop().create_task(self._leave(engine))
                self._leaving[engine] = task

    def unserved(self, catalogue: Catalogue, now_us: int) -> list[Unserved]:
        """What is in the catalogue and nobody answers for."""
        found = []
        for engine, versions in sorted(unserved(catalogue, self.table, now_us).items()):
            names = use_upstream.some([_called(each, catalogue) for each in versions], NAMES_SHOWN)
            is_known = engine in self._places or engine in self._models
            found.append(Unserved(engine, names, is_known))
        return found

    def told(self, catalogue: Catalogue, now_us: int) -> list[str]:
        """What a start prints of engines."""
        lacking = self.unserved(catalogue, now_us)
        return self.notes + [f"{each.says} {each.advice}" for each in lacking]

    async def close(self) -> None:
        """Close all of them now; what still runs fails."""
        for task in self._leaving.values():
            task.cancel()
        for engine in [*self._leaving, *self.table.values()]:
            await engine.close()

    async def _leave(self, engine: Leaving) -> None:
        """Close an engine once its last request is over."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        await asyncio.sleep(LEAVING_SECONDS_MIN)
        while not engine.is_idle and loop.time() - begun_at < LEAVING_SECONDS_MAX:
            await asyncio.sleep(_LOOK_SECONDS)
        del self._leaving[engine]
        await engine.close()

    def _add_local(self, models: Sequence[ModelRecord], table: dict[str, Engine]) -> None:
        """Models in files, each in a process of its own. A name that is taken stays so."""
        self._models = {model.name for model in models}
        is_able = process.can_run()
        for added in models:
            model = share_of(added, self._worker, self._config.server.workers)
            known = self.table.get(model.name)
            if model.name in table:
                self.left_out.append(
                    f"Model {model.name} is left out: another engine has its name."
                )
            elif not is_able:
                self.left_out.append(
                    f"Model {model.name} is left out: llama.cpp is not installed. "
                    "`pip install 'keyhall[local]'` installs it."
                )
            elif isinstance(known, LocalEngine) and known.record == model:
                table[model.name] = known
            else:
                table[model.name] = engine = self._local(model)
                engine.begin()

    def _local(self, model: ModelRecord) -> LocalEngine:
        log = self._config.data / LOGS / f"{model.name}.log"
        return LocalEngine(model, log, deadlines=self._deadlines(), outbox=self._outbox)

    def _wanted(self, records: Sequence[EngineRecord]) -> dict[str, _Place]:
        config = self._config
        places = {}
        for record in records:
            key = config.environ.get(record.key_env or "", "")
            if record.key_env and not key:
                self.without_key[record.name] = record.key_env
            places[record.name] = _Place(record.url, Secret(key))
        given = use_upstream.from_environment(
            config.upstream_key, config.upstream_url, self._url, self._own, self.left_out
        )
        if given is not None:
            places[given.name] = _Place(given.url, given.key)
        return places

    def _upstream(self, name: str, place: _Place) -> UpstreamEngine:
        """Raises AddressRefused."""
        if use_upstream.is_here(place.url, self._url, self._own):
            raise AddressRefused(f"{place.url} is this server's own address")
        return UpstreamEngine(
            name,
            place.url,
            place.key,
            deadlines=self._deadlines(),
            sizes=Sizes(connections=self._config.upstream.connections_max),
            own=self._own,
            hop=self.hop,
            outbox=self._outbox,
        )

    def _deadlines(self) -> Deadlines:
        given = self._config.upstream
        return Deadlines(
            connect=given.connect_seconds,
            first_byte=given.first_byte_seconds,
            idle=given.idle_seconds,
        )


def _called(version: Version, catalogue: Catalogue) -> str:
    """A version with the names that lead to it: `llama-house-1 (llama)`."""
    aliases = [alias for alias, target in catalogue.aliases.items() if target == version.name]
    return f"{version.name} ({', '.join(sorted(aliases))})" if aliases else version.name


def _sandbox(config: Config, turn: Turn | None) -> SandboxEngine:
    words = tokenizers.load("o200k_base")
    pace = config.sandbox.tokens_per_second
    return SandboxEngine(words.encode, words.decode_bytes, pace=pace, turn=turn)
