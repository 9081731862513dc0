"""A whole world from one seed: processes, callers, a database, clocks, and what goes wrong.

    outcome = run_seed(17)        # raises AssertionError where an invariant is broken
    outcome.hash                  # the same for the same seed, on every machine

After every step the invariants are checked (`_check`, and `truth.py` at each admission): windows
never above their limits in any 60 s, holds settled once, slots neither shared nor lost; and in the
end every delivered token recorded exactly once.
"""

import asyncio
import hashlib
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.parts import Killed, Sink, Wall
from simulator.truth import Request, Truth, check_row
from simulator.worker import VERSION, VERSION_NUMBER, CounterFactory, Worker
from virtual_loop import run_virtually

from keyhall.counters.memory import MemoryCounters
from keyhall.ledger.recovery import adopt_folder, adopt_spools
from keyhall.policy import tiers
from keyhall.policy.access import Grant
from keyhall.policy.limits import Limits, Refused, WindowLimits
from keyhall.policy.metering import Endpoint, Outcome, UsageSource
from keyhall.policy.tiers import Tier
from keyhall.ports.ledger import Opening

STEPS = 400
HOUR_US = 3_600_000_000
OPEN = Tier("open", Limits())
TIERS = {"open": OPEN}
MEMORY_FOLDER = Path("/dev/shm")
KEYS_EACH = 3  # keys of one process: two of one project and one lineage, one of another

# What happens, and how often: of 1,000 steps.
ODDS: dict[str, int] = {
    "arrive": 300, "accept": 90, "say": 160, "end": 110, "leave": 40, "fail": 30, "repeat": 20,
    "wait": 110, "wait_long": 25, "flush": 15, "fuse": 8, "kill": 6, "stop": 4, "start": 60,
    "trouble": 25, "calm": 25, "set_clock": 12, "limit": 28,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """How a world went. `trace` has a line for each step."""

    seed: int
    hash: str
    trace: tuple[str, ...]
    admitted: int
    refused: int
    crashes: int
    rows: int


class World:
    def __init__(
        self, seed: int, folder: Path, make_counters: CounterFactory, workers: int, steps: int
    ) -> None:
        self._dice = random.Random(seed)
        self._folder = folder
        self._steps = steps
        self.wall = Wall()
        self.sink = Sink(random.Random(seed + 1))
        self.truth = Truth()
        self.trace: list[str] = []
        self.refused = self.crashes = 0
        self._windows: dict[str, tuple[WindowLimits, ...]] = {}
        # Processes on one folder adopt each other's journals: then a start may miss what another
        # is just adopting, and memory counters know less than was admitted (R7 wants Redis there).
        self._shares_folder = workers > 1 and self._dice.random() < 0.5
        slots = self._dice.choice((4, 8, 24))
        batch_rows = self._dice.choice((1, 3, 2_000))
        self.workers = [
            Worker(
                number, self._folder_of(number), self.wall, self.sink, make_counters, TIERS,
                slots=slots, batch_rows=batch_rows, is_alone=not self._shares_folder,
            )
            for number in range(workers)
        ]  # fmt: skip
        for number in range(workers):
            for key in range(KEYS_EACH):
                grant = self._grant(number, key)
                self.sink.grants[grant.key_id] = grant

    def _grant(self, worker: int, key: int) -> Grant:
        owner = f"{worker:06}"
        return Grant(
            key_id=f"key_{owner}{key:06}",
            name="simulated",
            masked="sk-kh_live_...",
            mode="live",
            lineage=f"key_{owner}{key // 2:06}",
            account_id="acct_000000000000",
            project_id=f"proj_{owner}{key // 2:06}",
            project_name="project",
            organization_id=f"org_{owner}000000",
            organization_name="organization",
            tier="open",
            key_limits=self._draw_limits(),
            project_limits=self._draw_limits(),
            organization_limits=self._draw_limits(),
        )

    def _folder_of(self, worker: int) -> Path:
        folder = self._folder if self._shares_folder else self._folder / str(worker)
        folder.mkdir(exist_ok=True)
        return folder

    def _draw_limits(self) -> Limits:
        dice = self._dice
        requests = dice.choice((None, dice.randint(1, 12)))
        tokens = dice.choice((None, dice.randint(50, 600)))
        in_flight = dice.choice((None, None, dice.randint(1, 6)))
        if self._shares_folder:
            return Limits(in_flight=in_flight)
        return Limits(requests, tokens, in_flight)

    # --- The course of the world ------------------------------------------------------------------

    async def run(self) -> None:
        for worker in self.workers:
            worker.start()
        names, weights = list(ODDS), list(ODDS.values())
        for _ in range(self._steps):
            worker = self._dice.choice(self.workers)
            name = self._dice.choices(names, weights)[0]
            try:
                said = await getattr(self, f"_do_{name}")(worker)
            except Killed:
                said = "killed in it"
            await self._bury()
            if said is not None:
                self._tell(f"{worker.number} {name} {said}")
            self._check()
        await self._finish()

    def _tell(self, what: str) -> None:
        self.trace.append(f"{asyncio.get_running_loop().time():.6f} {what}")

    async def _bury(self) -> None:
        """Whose fuse has burnt, be it in a flush beside all else, is dead."""
        for worker in self.workers:
            if worker.fuse.is_blown and worker.state == "up":
                await self._dies(worker)

    async def _finish(self) -> None:
        """All goes well again: what is open is settled, and everybody stops."""
        self.sink.is_away, self.sink.fails_percent = False, 0
        for worker in self.workers:
            worker.fuse.writes_left = None
        await self._bury()
        for worker in self.workers:
            while worker.state != "up":
                if worker.state == "down":
                    worker.start()
                await asyncio.sleep(0.01)
            self._check()
            await self._do_stop(worker)
        now_us = self.wall.now_us()
        for worker in self.workers:
            folder = self._folder_of(worker.number)
            await adopt_spools(folder, self.sink, now_us)
            await adopt_folder(folder, self.sink, {VERSION_NUMBER: VERSION}, now_us)
        left = [*self._folder.rglob("journal-*"), *self._folder.rglob("spool-*")]
        assert not left, "a slot was not freed, or a spool not handed over"
        self.truth.compare(self.sink.rows)
        self._tell(f"end rows {sorted(self.sink.rows)}")

    # --- What is checked after every step ---------------------------------------------------------

    def _check(self) -> None:
        for worker in self.workers:
            if worker.state != "up":
                continue
            mine = self._open_of(worker)
            assert worker.counters.open_holds() == len(mine), "a hold was lost or settled twice"
            journal = worker.journal
            assert journal is not None
            used = len(mine) + worker.ledger.waiting() + len(journal.leftovers)
            assert worker.ledger.depth() == used, "a slot was lost, or freed too early"
            places = [request.entry._word for request in mine]
            assert len(set(places)) == len(places), "two requests in one slot"
        for request in self.truth.log:
            if request.row is None:
                row = self.sink.rows.get(request.id.hex())
                if row is not None:
                    assert request.state != "open", f"recorded while it is open: {request}"
                    check_row(request, row)
                    request.row = row

    def _open_of(self, worker: Worker) -> list[Request]:
        return [
            each for each in self.truth.log if each.state == "open" and each.worker == worker.number
        ]

    def _pick(self, worker: Worker) -> Request | None:
        mine = self._open_of(worker) if worker.state == "up" else []
        return self._dice.choice(mine) if mine else None

    # --- Requests ---------------------------------------------------------------------------------

    def _windows_of(self, key_id: str) -> tuple[WindowLimits, ...]:
        """The same tuple until a limit changes, as callers' snapshots have it."""
        found = self._windows.get(key_id)
        if found is None:
            grant = self.sink.grants[key_id]
            found = self._windows[key_id] = tiers.effective(grant, TIERS, 0).windows
        return found

    async def _do_arrive(self, worker: Worker) -> str | None:
        if worker.state != "up":
            return None
        dice = self._dice
        grant = self.sink.grants[f"key_{worker.number:06}{dice.randrange(KEYS_EACH):06}"]
        windows = self._windows_of(grant.key_id)
        request_id = dice.randbytes(16)
        given, cap = dice.randint(1, 40), dice.randint(1, 80)
        taken = await worker.counters.hold(windows, given + cap)
        if isinstance(taken, Refused):
            self.refused += 1
            now_us, real_us = worker.clock.now_us(), self.wall.uptime_us()
            self.truth.check_refused(taken, windows, given + cap, now_us, real_us)
            return f"{grant.key_id} refused {taken.resource} {taken.scope} {taken.wait_us}"
        real_us = self.wall.uptime_us()
        at_us = taken.admitted_at_us
        request = Request(request_id, worker.number, windows, at_us, real_us, given, cap, taken)
        opening = Opening(
            request_id=request_id,
            key_id=grant.key_id,
            project_id=grant.project_id,
            organization_id=grant.organization_id,
            version=VERSION,
            version_number=VERSION_NUMBER,
            endpoint=Endpoint.CHAT,
            is_test=False,
            is_stream=True,
            counts_tokens=True,
            admitted_at_us=at_us,
            input_tokens=given,
            held_tokens=given + cap,
            output_cap=cap,
            price_input=150_000,
            price_output=600_000,
        )
        self.truth.check_admitted(request, worker.jumped_at_us)
        self.truth.log.append(request)
        request.entry = worker.ledger.open(opening)
        if request.entry is None:
            worker.counters.cancel(taken)
            self.truth.log.remove(request)
            request.state, request.cap, request.input = "settled", 0, 0
            self.truth.turned_away.append(request)
            return f"{grant.key_id} found no slot"
        request.is_certain = True
        return f"{grant.key_id} {request_id.hex()} admitted {at_us} {given}+{cap}"

    async def _do_accept(self, worker: Worker) -> str | None:
        request = self._pick(worker)
        if request is None:
            return None
        request.entry.accepted()
        request.is_accepted = True
        return request.id.hex()

    async def _do_say(self, worker: Worker) -> str | None:
        request = self._pick(worker)
        if request is None or request.told == request.cap:
            return None
        request.told = min(request.cap, request.told + self._dice.randint(1, 20))
        request.entry.produced(request.told)
        request.delivered = request.told
        return f"{request.id.hex()} {request.told}"

    async def _end_of(self, worker: Worker, outcome: Outcome) -> str | None:
        request = self._pick(worker)
        if request is None or (outcome == Outcome.ENGINE_FAILED and request.told):
            return None
        self._settle(worker, request, outcome)
        return request.id.hex()

    def _settle(self, worker: Worker, request: Request, outcome: Outcome) -> None:
        """As a tab does: the hold first, then the record."""
        is_charged = outcome != Outcome.ENGINE_FAILED and (
            outcome == Outcome.ANSWERED or request.is_accepted or request.told > 0
        )
        given = request.input if is_charged else 0
        request.state = "settled"
        if is_charged:
            worker.counters.settle(request.hold, given + request.told)
        else:
            worker.counters.cancel(request.hold)
        request.settled = request.entry.settle(
            finished_at_us=worker.clock.now_us(),
            first_byte_us=0,
            input_tokens=given,
            output_tokens=request.told,
            outcome=outcome,
            usage_source=UsageSource.ENGINE,
        )

    async def _do_end(self, worker: Worker) -> str | None:
        return await self._end_of(worker, Outcome.ANSWERED)

    async def _do_leave(self, worker: Worker) -> str | None:
        return await self._end_of(worker, Outcome.CLIENT_LEFT)

    async def _do_fail(self, worker: Worker) -> str | None:
        return await self._end_of(worker, Outcome.ENGINE_FAILED)

    async def _do_repeat(self, worker: Worker) -> str | None:
        """What has ended is ended again: without effect, also on whoever has its slot by now."""
        ended = [
            each
            for each in self.truth.log
            if each.worker == worker.number and each.settled is not None and each.hold is not None
        ]
        if worker.state != "up" or not ended:
            return None
        request = ended[-1]
        worker.counters.settle(request.hold, 7)
        worker.counters.cancel(request.hold)
        request.entry.produced(10_000)
        request.entry.accepted()
        return request.id.hex()

    # --- Time and trouble -------------------------------------------------------------------------

    async def _do_wait(self, _: Worker) -> str:
        seconds = self._dice.choice((0.0, 0.001, 0.05, 0.2, 0.9))
        await asyncio.sleep(seconds)
        return f"{seconds}"

    async def _do_wait_long(self, _: Worker) -> str:
        seconds = self._dice.choice((5.0, 30.0, 59.999999, 60.0, 60.000001, 61.0))
        await asyncio.sleep(seconds)
        return f"{seconds}"

    async def _do_flush(self, worker: Worker) -> str | None:
        if worker.state != "up":
            return None
        worker.flush()
        return ""

    async def _do_fuse(self, worker: Worker) -> str | None:
        """It will be killed at one of its next writes to the journal."""
        if worker.state != "up":
            return None
        worker.fuse.writes_left = self._dice.randrange(12)
        return f"{worker.fuse.writes_left}"

    async def _do_kill(self, worker: Worker) -> str | None:
        if worker.state not in ("starting", "up"):
            return None
        await self._dies(worker)
        return ""

    async def _dies(self, worker: Worker) -> None:
        await worker.crash()
        self.crashes += 1
        self._gone(worker)
        self._tell(f"{worker.number} is dead")

    def _gone(self, worker: Worker) -> None:
        """What it had open is for recovery; what it knew, nobody knows any more."""
        for request in self.truth.log:
            if request.worker == worker.number:
                request.hold = None
                if request.state == "open":
                    request.state = "crashed"
        self.truth.turned_away = [
            each for each in self.truth.turned_away if each.worker != worker.number
        ]

    async def _do_stop(self, worker: Worker) -> str | None:
        if worker.state != "up":
            return None
        for request in self._open_of(worker):
            self._settle(worker, request, Outcome.STOPPED)
        await worker.stop()
        self._gone(worker)
        return ""

    async def _do_start(self, worker: Worker) -> str | None:
        if worker.state != "down":
            return None
        worker.start()
        return ""

    async def _do_trouble(self, _: Worker) -> str:
        dice, sink = self._dice, self.sink
        sink.is_away = dice.random() < 0.4
        sink.fails_percent = dice.choice((10, 50, 90))
        sink.seconds_max = dice.choice((0.0, 0.01, 0.5))
        return f"{sink.is_away} {sink.fails_percent} {sink.seconds_max}"

    async def _do_calm(self, _: Worker) -> str:
        self.sink.is_away, self.sink.fails_percent = False, 0
        return ""

    async def _do_set_clock(self, _: Worker) -> str:
        """Somebody sets the machine's clock."""
        step_us = self._dice.choice((-HOUR_US, -61_000_000, -500_000, 500_000, HOUR_US))
        self.wall.offset_us += step_us
        return f"{step_us}"

    async def _do_limit(self, worker: Worker) -> str:
        """An operator changes the limits of a key, its project or its organization."""
        dice = self._dice
        changed = dice.randrange(KEYS_EACH)
        level = dice.choice(("key_limits", "project_limits", "organization_limits"))
        limits = self._draw_limits()
        grants = self.sink.grants
        one = grants[f"key_{worker.number:06}{changed:06}"]
        owner = {"key_limits": "key_id", "project_limits": "project_id"}.get(
            level, "organization_id"
        )
        for key_id, grant in grants.items():
            if getattr(grant, owner) == getattr(one, owner):
                grants[key_id] = replace(grant, **{level: limits})  # type: ignore[arg-type]
                self._windows.pop(key_id, None)
        return f"{level} {limits}"


def replay(seed: int) -> str:
    return f"replay with python tests/faults/simulator/run.py --seed {seed}"


def run_seed(
    seed: int,
    *,
    workers: int | None = None,
    make_counters: CounterFactory = MemoryCounters,
    steps: int = STEPS,
    told: Callable[[World], None] | None = None,
) -> Course:
    """One world to its end. A third of the seeds have two or three processes.

    Keys belong to one process, because memory counters do not know of each other's; a factory of
    counters that processes share may give every process every key."""
    count = workers or (1 if seed % 3 else 2 + seed % 2)
    # A new journal is synced: in memory that costs nothing.
    memory = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="keyhall-world-", dir=memory))
    world = World(seed, folder, make_counters, count, steps)
    try:
        run_virtually(world.run())
    except BaseException as error:
        error.add_note(f"seed {seed}: {replay(seed)}")
        raise
    finally:
        if told is not None:
            told(world)
        shutil.rmtree(folder)
    text = "\n".join(world.trace)
    return Course(
        seed=seed,
        hash=hashlib.sha256(text.encode()).hexdigest(),
        trace=tuple(world.trace),
        admitted=len(world.truth.log),
        refused=world.refused,
        crashes=world.crashes,
        rows=len(world.sink.rows),
    )
