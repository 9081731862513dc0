"""The scan: what a policy says of a text, whole or in pieces.

There is one way through, and a whole text is a stream of one piece. Folding goes character by
character, terms and patterns have a longest match, and a hit depends on nothing but its characters
and the one before and behind. So everything that begins before the *hold* is final: the first
place from which the end of the text could still become a hit. Text before the hold goes out, text
behind it waits for more. Hits are taken in the order of where they begin, so that any split into
pieces gives the same hits, the same masks and the same cut.

Rules that only note something (`flag`, `allow`) change nothing of what is sent, so they hold
nothing back: they are looked for in what went out, in longer pieces, up to the cut if there is one.
"""

import msgspec

from keyhall.policy.filters import fold
from keyhall.policy.filters.compiled import OneWay, Policy, Stages
from keyhall.policy.filters.fold import Starts
from keyhall.policy.filters.masks import Masks
from keyhall.policy.filters.matching import Side, utf8
from keyhall.policy.filters.rules import ACTIONS, RANK, Action, Rule, Way
from keyhall.policy.filters.skim import CHARACTERS_MAX
from keyhall.policy.filters.terms import Matches, is_word

HITS_MAX = 1_000  # that a verdict names; more are acted upon all the same
NOTED_CHARACTERS = 4_096  # of what went out, looked at together
SLICE_CHARACTERS = 32_768  # of a long text
# Where it begins in the text at hand, the rule's rank, where it ends, both below 0 so that what
# weighs more is first, and the rule's number.
_Found = tuple[int, int, int, int]


class Hit(msgspec.Struct, frozen=True, gc=False):
    """Where a rule hit: characters of the text as it was sent."""

    rule_id: str
    category: str | None
    start: int
    end: int
    action: Action


class Verdict(msgspec.Struct, frozen=True):
    """What a policy says of a text. `text` is it with its masks, up to the first blocking hit.
    `hits` are those up to there, in the order of where they begin. `block` is that hit."""

    action: Action
    hits: tuple[Hit, ...]
    text: str
    block: Hit | None = None


class Scanner:
    """A policy towards one way of one request. `bucket` (0 to 99) decides which rules it is under
    that are rolled out to a part of all requests."""

    __slots__ = ("_bucket", "_masks", "_rules")

    def __init__(
        self, policy: Policy, way: Way = "in", *, bucket: int = 0, masks: Masks | None = None
    ) -> None:
        self._rules = policy.stages[way]
        self._bucket = bucket
        self._masks = masks if masks is not None else Masks()

    def whole(self, text: str) -> Verdict:
        if self._rules.pass_all((text,)):
            return Verdict("allow", (), text)
        slices, size = [text], len(text)
        if size > SLICE_CHARACTERS and self._rules.acting.in_pieces:
            # Behind a cut, nothing more is looked for.
            slices = [text[at : at + SLICE_CHARACTERS] for at in range(0, size, SLICE_CHARACTERS)]
        stream = self.stream()
        sent = [stream.feed(each) for each in slices[:-1]]
        sent.append(stream.feed(slices[-1], last=True))
        return stream.verdict("".join(sent))

    def stream(self) -> "Stream":
        return Stream(self._rules, self._bucket, self._masks)


class Stream:
    """A text that comes in pieces. After a cut nothing more comes out."""

    __slots__ = (
        "_at", "_before", "_bucket", "_held", "_later", "_masks", "_out", "_rules", "_sides",
        "_skimmed", "_stages", "action", "cut", "hits", "masked", "passed", "scanned",
    )  # fmt: skip

    def __init__(
        self, rules: OneWay, bucket: int, masks: Masks, stages: Stages | None = None
    ) -> None:
        """With `stages`, only these are looked for."""
        self._rules = rules.rules
        self._stages = rules.acting if stages is None else stages
        self._later: _Later | None = None
        if stages is None and rules.noting is not None:
            self._later = _Later(Stream(rules, bucket, masks, rules.noting))
        self._bucket = bucket
        self._masks = masks
        self._held = ""  # what waits: from character `_at` of the text on
        self._at = 0
        self._out = 0  # up to here the text went out or was masked
        self._before = ""  # the character before what waits, folded for terms
        self._skimmed = 0  # characters that its sides do not know of yet
        self._sides = [Side(self._stages, used) for used in self._stages.sides]
        self.action: Action = "allow"
        self.hits: list[Hit] = []
        self.cut: Hit | None = None
        self.scanned = 0  # bytes of UTF-8: looked at, gone out as they were, replaced by masks
        self.passed = 0
        self.masked = 0

    @property
    def held(self) -> str:
        """What waits for more."""
        return self._held[max(0, self._out - self._at) :]

    def verdict(self, text: str) -> Verdict:
        """So far; `text` is all that came out."""
        return Verdict(self.action, tuple(self.hits), text, self.cut)

    def finish(self) -> str:
        """The text is over: what is left of it."""
        return self.feed("", last=True)

    def feed(self, piece: str, *, last: bool = False) -> str:
        """What may go out now."""
        if self.cut is not None:
            return ""
        text = self._held + piece
        stages = self._stages
        assert last or stages.in_pieces, "This policy was compiled for whole texts."
        if stages.skimming is not None and not last and len(text) <= CHARACTERS_MAX:
            hold = -1
            if self._out <= self._at and self._at + len(text) <= stages.size_max:
                hold = stages.skimming.hold(text)
            if hold >= 0:
                return self._skim(text, hold, len(piece))
        elif not stages.looks:
            return self._unlooked(piece, last)
        elif last and self._out <= self._at and stages.is_quiet(text, self._at + len(text)):
            self.scanned += len(piece)
            self.passed += len(text)
            self._held = ""
            if self._later is not None:
                self._note_later(text, last)
            return text
        return self._scan(text, piece, last)

    def _skim(self, text: str, hold: int, size: int) -> str:
        self.scanned += size
        self._held = text[hold:]
        if not hold:
            return ""
        gone = text[:hold]
        self._at += hold
        self.passed += hold
        self._before = gone[-1]  # No letter, so it has no case.
        self._skimmed += hold
        if self._later is not None:
            self._later.take(gone)
        return gone

    def _unlooked(self, piece: str, last: bool) -> str:
        """No rule would change anything."""
        size = len(piece) if piece.isascii() else _bytes(piece)
        self.scanned += size
        self.passed += size
        if self._later is not None:
            self._note_later(piece, last)
        return piece

    def _scan(self, text: str, piece: str, last: bool) -> str:
        stages = self._stages
        if self._skimmed:
            self._sides[0].keep_ascii(self._before, self._skimmed)
            self._skimmed = 0
        hold = size = len(text)
        is_ascii = text.isascii()
        starts: Starts = None
        plain_starts: Starts = None
        if is_ascii:
            self.scanned += len(piece)
            plain, broad = text, text.lower()
        else:
            self.scanned += _bytes(piece)
            letters = set(text)
            plain, plain_starts = fold.plain().fold(text, letters)
            broad, starts = fold.broad().fold(text, letters)
        found: list[_Found] = []
        if stages.terms is not None:
            hold = self._in_terms(broad, starts, last, found, hold)
        if stages.sides:
            forms = (plain, plain_starts), (broad, starts)
            hold = self._in_sides(forms, is_ascii, last, found, hold)
        if stages.has_others:
            self._in_others(text, found)
        gone = self._decide(text, hold, found) if found else self._pass(text, hold, is_ascii)
        if self._later is not None:
            self._note_later(text[:hold], last)
        if not hold:
            self._held = text
            return gone
        self._held = text[hold:] if hold < size else ""
        self._at += hold
        broad_end = hold if starts is None else starts[hold]
        plain_end = hold if plain_starts is None else plain_starts[hold]
        if broad_end:
            self._before = broad[broad_end - 1]
        for side in self._sides:
            side.keep(*((broad, broad_end) if side.is_broad else (plain, plain_end)))
        return gone

    # --- Looking --------------------------------------------------------------------------------

    def _in_terms(
        self, broad: str, starts: Starts, last: bool, found: list[_Found], hold: int
    ) -> int:
        """Add the terms; returns the hold."""
        terms = self._stages.terms
        assert terms is not None
        broad = self._before + broad.replace("\n", " ")
        seen = terms.find(broad) if last else terms.find_growing(broad)
        if not seen:
            return hold
        before = len(self._before)
        if not last:
            seen, begin = terms.divide(seen, broad, before)
            if begin < len(broad):
                hold = min(hold, fold.first(starts, begin - before))
        if seen:
            self._add_terms(seen, broad, before, starts, last, found)
        return hold

    def _add_terms(
        self,
        seen: Matches,
        broad: str,
        before: int,
        starts: Starts,
        last: bool,
        found: list[_Found],
    ) -> None:
        stages, size = self._stages, len(broad)
        assert stages.terms is not None
        for which, begin, end in seen:
            if begin < before or (end == size and not last):
                continue  # It has gone out; or what comes behind decides.
            is_inside = begin > 0 and is_word(broad[begin - 1])
            goes_on = end < size and is_word(broad[end])
            for number, begins, ends in stages.terms.uses[which]:
                if (begins and is_inside) or (ends and goes_on):
                    continue
                start = fold.first(starts, begin - before)
                stop = fold.first(starts, end - before - 1) + 1
                found.append((start, stages.ranks[number], -stop, number))

    def _in_sides(
        self,
        forms: tuple[tuple[str, Starts], tuple[str, Starts]],
        is_ascii: bool,
        last: bool,
        found: list[_Found],
        hold: int,
    ) -> int:
        """Add the matches of patterns and phrases that begin before the hold; returns the hold."""
        for side in self._sides:
            hold = side.look(*forms[side.is_broad], is_ascii, last, hold)
        for side in self._sides:
            hold = side.match(found, last, hold)
        return hold

    def _in_others(self, text: str, found: list[_Found]) -> None:
        """Size and encoding: what is seen of single characters of the text as it is."""
        stages = self._stages
        for number, limit in stages.size:
            if self._at <= limit < self._at + len(text):
                start = limit - self._at
                found.append((start, stages.ranks[number], -start - 1, number))
        if stages.signs is not None and stages.signs.search(text):
            for number, signs in stages.of_sign:
                for match in signs.finditer(text):
                    found.append((match.start(), stages.ranks[number], -match.end(), number))

    # --- Deciding -------------------------------------------------------------------------------

    def _pass(self, text: str, hold: int, is_ascii: bool) -> str:
        """Nothing was found: all before the hold goes out, but what is behind a mask already."""
        out = self._out - self._at
        gone = text[out:hold] if out > 0 else text[:hold]
        self.passed += len(gone) if is_ascii else _bytes(gone)
        return gone

    def _decide(self, text: str, hold: int, found: list[_Found]) -> str:
        found.sort()
        rules, cut = self._stages.rules, hold
        out = max(self._out - self._at, 0)
        gone: list[str] = []
        worst = 0
        for start, rank, negative_end, number in found:
            rule, end = rules[number], -negative_end
            if start >= hold or start > cut:
                break
            if rule.percent <= self._bucket:
                continue
            worst = min(worst, rank)
            if len(self.hits) < HITS_MAX or rule.action == "block":
                self._note(rule, start, end)
            if self.cut is not None:
                cut = start  # At the same place more may be named, and that is all.
            elif rule.action == "mask" and end > out:
                begin = max(start, out)
                gone.append(text[out:begin])
                value = text[begin:end]
                self.masked += len(value) if value.isascii() else _bytes(value)
                if rule.stage != "encoding":  # Signs that nobody should see are left out.
                    place = self._masks.place(rule.label, value)
                    self.passed -= len(place)
                    gone.append(place)
                out = end
        if -worst > RANK[self.action]:
            self.action = ACTIONS[-worst]
        gone.append(text[out:cut])
        self._out = self._at + max(out, cut)
        sent = "".join(gone)
        self.passed += len(sent) if sent.isascii() else _bytes(sent)  # Places are ASCII, and off.
        return sent

    def _note_later(self, text: str, last: bool) -> None:
        """Look for the rules that only note in what is decided, which ends at the cut."""
        later = self._later
        assert later is not None
        if self.cut is not None:
            text = text[: self.cut.start - self._at]
        elif not last:
            later.take(text)
            return
        self._later = None
        noted = later.finish(text)
        if noted:
            self._merge(noted)

    def _merge(self, noted: list[Hit]) -> None:
        order = {rule.id: number for number, rule in enumerate(self._rules)}
        self.hits += noted
        self.hits.sort(key=lambda hit: (hit.start, -RANK[hit.action], -hit.end, order[hit.rule_id]))
        if len(self.hits) > HITS_MAX:
            kept = [hit for hit in self.hits[HITS_MAX:] if hit.action == "block"]
            self.hits = self.hits[:HITS_MAX] + kept
        self.action = max(self.action, *(hit.action for hit in noted), key=RANK.__getitem__)

    def _note(self, rule: Rule, start: int, end: int) -> None:
        hit = Hit(rule.id, rule.category, self._at + start, self._at + end, rule.action)
        self.hits.append(hit)
        if rule.action == "block" and self.cut is None:
            self.cut = hit


class _Later:
    """What went out of a text, gathered for the rules that only note."""

    __slots__ = ("_parts", "_size", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._parts: list[str] = []
        self._size = 0

    def take(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size >= NOTED_CHARACTERS:
            self._stream.feed("".join(self._parts))
            self._parts.clear()
            self._size = 0

    def finish(self, text: str) -> list[Hit]:
        """With the last of it."""
        self._stream.feed("".join((*self._parts, text)), last=True)
        return self._stream.hits


def _bytes(text: str) -> int:
    return len(utf8(text))
