"""Compiled rules for `/v1/moderations`, and for `moderation` in chat requests: one policy per
project that has rules of its own and one for all others; made when they are first asked for, in a
thread, and again after a change.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.filters import manage
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Action, Rule
from keyhall.policy.filters.views import look
from keyhall.ports.store import StoreAway
from keyhall.rules import starter
from keyhall.stores.sql import SqlStore

PROJECTS_MAX = 10_000  # a policy's address each
POLICIES_MAX = 32  # compiled; one of the starter policy has some 10 MB


class Policies:
    """Of one process."""

    def __init__(self, store: SqlStore, settings: Sequence[Rule] = ()) -> None:
        self._store = store
        self.settings = settings  # the operator's rules, as the settings give them
        self._of_project: dict[tuple[str, bool], Policy] = {}
        self._compiled: dict[tuple[bytes, bool], Policy] = {}  # by their rules as JSON
        self._generation = 0
        self._compiling = asyncio.Lock()

    def changed(self) -> None:
        """Somebody switched or wrote a rule."""
        self._generation += 1
        self._of_project.clear()

    async def of(self, project_id: str, *, blocks: bool = False) -> Policy:
        """What a project's moderations are answered from; `blocks`: the same to cut streams with.
        Raises STORE_AWAY."""
        known = self._of_project.get((project_id, blocks))
        if known is not None:
            return known
        # A task of its own: the store's driver wants one, and a client that leaves must not cancel
        # a query in the middle of its connection.
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.create_task(self._made(project_id, blocks)))
        except StoreAway:
            raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None

    async def _made(self, project_id: str, blocks: bool) -> Policy:
        generation = self._generation
        async with self._store.reading() as connection:
            owner = manage.Owner("project", project_id)
            stored = await manage.stored_for(connection, owner)
        rules = manage.assembled(self.settings, stored, owner)
        used = moderating(rules, "block" if blocks else "allow")
        policy = await self.compiled(used, in_pieces=blocks)
        if generation == self._generation:
            if len(self._of_project) >= PROJECTS_MAX:
                self._of_project.clear()
            self._of_project[project_id, blocks] = policy
        return policy

    async def compiled(self, rules: tuple[Rule, ...], *, in_pieces: bool = False) -> Policy:
        """Of rules for whole texts, or for streams; the newest are kept. Raises RuleRefused."""
        async with self._compiling:  # One at a time: a hundred first callers want the same one.
            which = msgspec.json.encode(rules), in_pieces
            policy = self._compiled.pop(which, None)
            if policy is None:
                policy = await asyncio.to_thread(_compiled, rules, in_pieces)
            self._compiled[which] = policy  # At the end again: the first is the longest unused.
            if len(self._compiled) > POLICIES_MAX:
                del self._compiled[next(iter(self._compiled))]
        return policy


def moderating(rules: Sequence[Rule], action: Action = "allow") -> tuple[Rule, ...]:
    """Of the rules in force those with a category, and all of the starter policy, whether or not it
    is on. Where each only counts (`allow`) none hides what another would find."""
    always = {rule.id for rule in starter()}
    return tuple(
        msgspec.structs.replace(
            rule, is_on=True, action=action, direction="both", percent=100, finds=(), passes=()
        )
        for rule in rules
        if rule.category is not None and rule.stage != "model" and (rule.is_on or rule.id in always)
    )


def _compiled(rules: tuple[Rule, ...], in_pieces: bool) -> Policy:
    look.prepare()
    return Policy(rules, in_pieces=in_pieces)
