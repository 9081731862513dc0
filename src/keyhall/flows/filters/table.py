"""Which rules hold for which key: the operator's, with those of its tiers and its project on top.

What a key is under is found when its snapshot is made, so that a request that is under none costs
one look at an attribute. A policy is compiled at its first use, off the event loop, and shared by
all keys that are under the same rules.
"""

import asyncio
import logging
from collections.abc import Sequence

from keyhall.policy.access import Grant
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule, RuleRefused, stricter
from keyhall.policy.filters.views import look
from keyhall.ports.filters import StoredRule
from keyhall.rules import current

# Compiled at a time: each takes megabytes, and every project may have rules of its own.
POLICIES_MAX = 64

_log = logging.getLogger("keyhall")


class Filter:
    """Rules that some keys are under, and their policy once it is compiled."""

    __slots__ = (
        "_compiling", "_kept", "by_id", "is_partial", "operators", "policy", "rules"
    )  # fmt: skip

    def __init__(
        self, rules: tuple[Rule, ...], operators: frozenset[str], kept: "dict[Filter, None]"
    ) -> None:
        self._kept = kept  # those that are compiled, the latest used last
        self.rules = rules
        self.by_id = {rule.id: rule for rule in rules}
        self.is_partial = any(rule.percent < 100 for rule in rules)
        self.operators = operators  # ids of the rules that are the operator's, for counting
        self.policy: Policy | None = None
        self._compiling: asyncio.Future[Policy] | None = None

    def ready(self) -> Policy | None:
        """The policy, if it is compiled."""
        if self.policy is not None and len(self._kept) > 1:
            self._kept[self] = self._kept.pop(self, None)
        return self.policy

    async def compiled(self) -> Policy:
        """The policy; whoever comes while it is compiled waits for the same."""
        policy = self.ready()
        if policy is not None:
            return policy
        if self._compiling is None:
            loop = asyncio.get_running_loop()
            self._compiling = loop.run_in_executor(None, _compile, self.rules)
        policy = self.policy = await asyncio.shield(self._compiling)
        self._compiling = None
        self._kept[self] = None
        while len(self._kept) > POLICIES_MAX:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            oldest.policy = None  # Compiled again when it is needed.
        return policy


def _compile(rules: tuple[Rule, ...]) -> Policy:
    """Without those that cannot be used: they were good when they were kept, so it is our mistake,
    and no reason to refuse every request or to let every text by."""
    look.prepare()
    while True:
        try:
            return Policy(rules)
        except RuleRefused as error:
            _log.error("rule_unfit", {"rule": error.rule_id, "reason": error.reason})
            rules = tuple(rule for rule in rules if rule.id != error.rule_id)


class Filters:
    """The rules of a hall. Counts what they hit, until that is written down."""

    def __init__(self, settings: Sequence[Rule] = ()) -> None:
        self.settings = tuple(settings)
        self.operators: tuple[Rule, ...] = ()  # of the settings, and kept ones in their place
        self._theirs: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._made: dict[tuple[tuple[str, str], ...], Filter] = {}
        self._kept: dict[Filter, None] = {}
        self.judged = [0, 0]  # texts that a model could not judge, and could
        # Since they were written down, by project and rule.
        self.hits: dict[tuple[str, str], int] = {}
        self.bytes: dict[str, int] = dict.fromkeys(("scanned", "passed", "masked"), 0)  # of answers
        self.counted: dict[tuple[str, str], int] = {}  # for metrics: by rule and action
        self.take([])

    def take(self, stored: Sequence[StoredRule]) -> None:
        """These are kept now. A kept rule of the hall's own replaces the settings' of its id."""
        own = {rule.id: rule for rule in self.settings}
        theirs: dict[tuple[str, str], list[Rule]] = {}
        for each in stored:
            if each.scope == "hall":
                own[each.rule.id] = current(each.rule)
            else:
                theirs.setdefault((each.scope, each.scope_id), []).append(current(each.rule))
        self.operators = tuple(own.values())
        self._theirs = {whose: tuple(rules) for whose, rules in theirs.items()}
        self._made = {}
        self._kept.clear()

    def of(self, grant: Grant) -> Filter | None:
        """What a key is under; None if it is under no rule."""
        scopes = (
            ("tier", grant.tier),
            ("tier", grant.organization_tier or ""),
            ("project", grant.project_id),
        )
        theirs = tuple(dict.fromkeys(scope for scope in scopes if scope in self._theirs))
        found = self._made.get(theirs)
        if found is None:
            rules = self.operators
            for scope in theirs:
                rules = stricter(rules, self._theirs[scope])
            used = tuple(rule for rule in rules if rule.is_on and rule.percent)
            operators = frozenset(rule.id for rule in self.operators)
            found = self._made[theirs] = Filter(used, operators, self._kept)
        return found if found.rules else None

    def count(
        self, project_id: str, hits: dict[tuple[str, str], int], operators: frozenset[str]
    ) -> None:
        """What one request hit, by rule and action."""
        for (rule_id, action), number in hits.items():
            place = project_id, rule_id
            self.hits[place] = self.hits.get(place, 0) + number
            # Holders name their rules as they like: they are one in the metrics.
            by = (rule_id if rule_id in operators else "holder", action)
            self.counted[by] = self.counted.get(by, 0) + number
