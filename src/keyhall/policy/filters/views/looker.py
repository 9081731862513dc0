"""A scanner that also only looks: all that rules find in a text, with nothing done about it."""

from keyhall.policy.filters.compiled import OneWay, Stages
from keyhall.policy.filters.masks import Masks
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Scanner, Stream

Found = tuple[Rule, int, int]  # with where it begins and ends
_Decided = list[tuple[int, int, int, int]]  # as the scan has them: begin, rank, negative end, rule


class Looker(Scanner):
    """What rules find is the same as what they would hit if none hid another."""

    __slots__ = ()

    def passes(self, texts: list[str]) -> bool:
        """Whether surely nothing is found in any of some texts. Most have nothing."""
        return self._rules.pass_all(texts)

    def found(self, text: str) -> list[Found]:
        """In a whole text, also behind what blocks. Size and encoding are not looked at."""
        rules = self._rules
        found: list[Found] = []
        for stages in (rules.acting, rules.noting):
            if stages is not None:
                looking = _Looking(rules, self._bucket, self._masks, stages)
                looking.feed(text, last=True)
                found += looking.found
        return found


class _Looking(Stream):
    __slots__ = ("found",)

    def __init__(self, rules: OneWay, bucket: int, masks: Masks, stages: Stages) -> None:
        super().__init__(rules, bucket, masks, stages)
        self.found: list[Found] = []

    def _decide(self, text: str, hold: int, found: _Decided) -> str:
        for start, _, negative_end, number in sorted(found):
            rule = self._rules[number]
            if rule.percent > self._bucket and rule.stage not in ("size", "encoding"):
                self.found.append((rule, start, -negative_end))
        return ""
