"""Text as tokens, exactly: a part is a text with its tokens, a draft is one choice's parts.

Parts join without re-counting because each ends with a full stop and the next begins with a space
(`words.py`). What is cut, by the cap or a stop sequence, is tokenised again after the cut: so the
tokens of a draft are always the tokens of its text, and `usage` is what anybody counts who
tokenises the answer. Filler parts are shared by all answers; a stream of 4,096 tokens holds 300
pointers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.words import FILLER, OPENING
from keyhall.wire.chat import FinishReason

WHOLE_CHARACTERS = 8192  # Tokenised without looking: a millisecond or two.
_CHARACTERS_PER_TOKEN = 8  # More than words and figures have; runs of one character have 128.
CALL_OVERHEAD = 7  # Tokens of a tool call beside its name and arguments, as OpenAI bills them.


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    tokens: Sequence[int]


NOTHING = Part("", ())


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call. `overhead` counts its name and framing."""

    id: str
    name: str
    arguments: Part
    overhead: int


@dataclass(frozen=True, slots=True)
class Draft:
    """One choice, planned: text or calls, and why it ends."""

    parts: Sequence[Part]
    finish: FinishReason
    calls: Sequence[Call] = field(default=())
    is_legacy_call: bool = False  # `function_call` of the deprecated `functions`

    @property
    def text(self) -> str:
        return "".join([part.text for part in self.parts])

    @property
    def tokens(self) -> int:
        """What the choice counts: visible tokens, and for each call its overhead."""
        said = sum([len(part.tokens) for part in self.parts])
        return said + sum([call.overhead + len(call.arguments.tokens) for call in self.calls])


class Voice:
    """The tokenizer, and the fixed parts tokenised once."""

    __slots__ = ("_encode", "decode_bytes", "filler", "opening")

    def __init__(
        self, encode: Callable[[str], Sequence[int]], decode_bytes: Callable[[int], bytes]
    ) -> None:
        self._encode = encode
        self.decode_bytes = decode_bytes
        self.opening = self.part(OPENING)
        self.filler = tuple(self.part(sentence) for sentence in FILLER)

    def part(self, text: str) -> Part:
        return Part(text, self._encode(text)) if text else NOTHING

    def start(self, text: str, room: int) -> Part:
        """The text if it counts at most `room` tokens. Of one that counts more it may be only a
        beginning that does so too: a long text is not tokenised far beyond what is said of it."""
        size = max(WHOLE_CHARACTERS, room * _CHARACTERS_PER_TOKEN)
        while size < len(text):
            part = self.part(text[:size])
            if len(part.tokens) > room:
                return part
            size *= 2
        return self.part(text)

    def sentences(self, dice: Dice, *, varied: bool) -> Iterable[Part]:
        """Filler without end. `varied`: no sentence twice until all were said (a penalty on
        repetition is in force); otherwise each is drawn anew."""
        filler = self.filler
        count = len(filler)
        position, step = dice.below(count), 2 * dice.below(count // 2) + 1
        while True:
            yield filler[position]
            # An odd step visits all of a power of two before it comes back.
            position = (position + step) % count if varied else dice.below(count)

    def cut(self, part: Part, room: int) -> Part:
        """The longest beginning of whole characters that counts at most `room` tokens by itself."""
        for keep in range(min(room, len(part.tokens)), 0, -1):
            # Only the end can hold an incomplete character: it is dropped.
            text = b"".join(map(self.decode_bytes, part.tokens[:keep])).decode("utf-8", "ignore")
            tokens = self._encode(text)
            if len(tokens) <= room:
                return Part(text, tokens)
        return NOTHING

    def within(self, parts: Iterable[Part], cap: int) -> tuple[list[Part], bool]:
        """The parts up to `cap` tokens, and whether anything was cut off."""
        kept: list[Part] = []
        room = cap
        for part in parts:
            if len(part.tokens) > room:
                cut = self.cut(part, room)
                return ([*kept, cut] if cut.text else kept), True
            kept.append(part)
            room -= len(part.tokens)
        return kept, False

    def before(self, parts: Sequence[Part], stops: Sequence[str]) -> tuple[Sequence[Part], bool]:
        """The parts up to the first of the stop sequences, and whether one was found."""
        text = "".join([part.text for part in parts])
        places = [place for stop in stops if (place := text.find(stop)) >= 0]
        if not places:
            return parts, False
        left = min(places)
        kept: list[Part] = []
        for part in parts:
            if left <= len(part.text):
                return [*kept, self.part(part.text[:left])], True
            kept.append(part)
            left -= len(part.text)
        raise AssertionError("a stop was found outside the text")
