"""Plausible strings and numbers for a plain JSON schema.

`turn` is the item's place in the array it stands in: items of one array differ by it.
"""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

from keyhall.engines.sandbox.dice import Dice
from keyhall.engines.sandbox.schema.pattern import matching
from keyhall.engines.sandbox.words import quoted

STRING_LENGTH_MAX = 40_000  # More than 4,096 tokens can say: the cap cuts it anyway.
NUMBER_MAX = 1e18  # Bounds beyond it are taken for none, steps below its inverse too.
NAME_CHARACTERS_MAX = 100  # What a longer name ends with says as much.
CHOICES = 20  # Numbers are drawn from the first so many that are allowed.

Schema = dict[str, object]

_FORMATS: dict[str, Callable[[int], str]] = {
    "date-time": lambda n: f"2026-03-{n % 28 + 1:02}T09:30:{n % 60:02}Z",
    "date": lambda n: f"2026-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}",
    "time": lambda n: f"09:{n // 60 % 60:02}:{n % 60:02}Z",
    "duration": lambda n: f"P{n}D",
    "email": lambda n: f"person{n}@example.com",
    "idn-email": lambda n: f"person{n}@example.com",
    "hostname": lambda n: f"host{n}.example.com",
    "idn-hostname": lambda n: f"host{n}.example.com",
    "ipv4": lambda n: f"192.0.2.{n % 254 + 1}",
    "ipv6": lambda n: f"2001:db8::{n & 0xFFFF:x}",
    "uri": lambda n: f"https://example.com/{n}",
    "uri-reference": lambda n: f"/{n}",
    "iri": lambda n: f"https://example.com/{n}",
    "iri-reference": lambda n: f"/{n}",
    "uri-template": lambda n: f"https://example.com/{n}/{{id}}",
    "url": lambda n: f"https://example.com/{n}",
    "uuid": lambda n: f"5a4dbc0e-7a11-4c3e-8f00-{n:012x}",
    "json-pointer": lambda n: f"/items/{n}",
    "relative-json-pointer": lambda n: f"{n}",
    "regex": lambda n: f"^[a-z]{{{n}}}$",
}
_SAID_NAMES = frozenset(
    ("query", "question", "text", "prompt", "message", "input", "q", "content", "body", "search")
)
_PLACE_NAMES = frozenset(("city", "location", "place", "town", "destination", "origin"))
_PLACE_MARKS = frozenset(("in", "for", "to", "from", "at"))
_HINTS = {
    "city": ("Paris", "Lisbon", "Nairobi", "Osaka", "Toronto"),
    "location": ("Paris, France", "Lisbon, Portugal", "Nairobi, Kenya", "Osaka, Japan"),
    "country": ("France", "Portugal", "Kenya", "Japan", "Canada"),
    "name": ("Ada Example", "Ben Example", "Chidi Example", "Dana Example"),
    "firstname": ("Ada", "Ben", "Chidi", "Dana"),
    "lastname": ("Example", "Sample", "Specimen"),
    "email": ("ada@example.com", "ben@example.com", "chidi@example.com"),
    "phone": ("+1-555-0100", "+1-555-0101", "+1-555-0102"),
    "date": ("2026-03-02", "2026-03-09", "2026-03-16"),
    "time": ("09:30", "13:15", "18:45"),
    "timezone": ("UTC", "Europe/Paris", "Asia/Tokyo"),
    "url": ("https://example.com/", "https://example.org/"),
    "language": ("English", "French", "Swahili", "Japanese"),
    "currency": ("EUR", "USD", "KES", "JPY"),
    "unit": ("celsius", "fahrenheit"),
    "color": ("green", "blue", "amber"),
    "address": ("1 Example Street", "2 Example Street"),
    "title": ("A sample title", "Another sample title"),
    "summary": ("A sample summary written by the sandbox.",),
    "description": ("A sample description written by the sandbox.",),
    "reason": ("Because the sandbox was asked.",),
}


def string(plain: Schema, name: str, said: str, dice: Dice, turn: int) -> str:
    """A string of the schema's format, pattern or name, within its lengths."""
    shortest = min(_length(plain.get("minLength"), 0), STRING_LENGTH_MAX)
    longest = min(_length(plain.get("maxLength"), STRING_LENGTH_MAX), STRING_LENGTH_MAX)
    pattern = plain.get("pattern")
    if isinstance(pattern, str):
        text = matching(pattern, dice, shortest, longest)
        if text is not None:
            return text
    kind = plain.get("format")
    if isinstance(kind, str) and kind in _FORMATS:
        return _FORMATS[kind](1 + dice.below(9) + turn)
    text = _named(name, said, dice, turn)
    if len(text) > longest:
        text = (_letters(turn) + text if turn else text)[:longest]
    if len(text) < shortest:
        filled = f"{text} " if text else "sample "
        text = (filled * (shortest // len(filled) + 1))[:shortest]
    return text


def whole(plain: Schema, dice: Dice, turn: int) -> int:
    """An integer within the schema's bounds."""
    multiple = _fraction(plain.get("multipleOf"))
    # The whole multiples of p/q are the multiples of p.
    step = Fraction(multiple.numerator) if multiple and multiple > 0 else Fraction(1)
    return int(_on_grid(plain, step, dice, turn) or 0)


def number(plain: Schema, dice: Dice, turn: int) -> float:
    """A number within the schema's bounds: with one decimal, if the bounds have room for it."""
    multiple = _fraction(plain.get("multipleOf"))
    has_step = multiple is not None and multiple > 0
    step = multiple if multiple is not None and has_step else Fraction(1, 10)
    value = _on_grid(plain, step, dice, turn)
    if value is None:
        (low, _), (high, _) = _bound(plain, "minimum"), _bound(plain, "maximum")
        value = ((low or Fraction(0)) + (high or Fraction(0))) / 2
    return float(value)


def _on_grid(plain: Schema, step: Fraction, dice: Dice, turn: int) -> Fraction | None:
    """A multiple of `step` within the bounds, or None if there is none."""
    (low, is_low_open), (high, is_high_open) = _bound(plain, "minimum"), _bound(plain, "maximum")
    last = None
    if high is not None:
        last = floor(high / step)
        last -= is_high_open and last * step == high
    if low is not None:
        first = ceil(low / step)
        first += is_low_open and first * step == low
    else:
        first = ceil(1 / step)
        if last is not None and last < first:
            first = last - CHOICES + 1
    count = CHOICES + turn if last is None else last - first + 1
    if count <= 0:
        return None
    return (first + (dice.below(min(count, CHOICES)) + turn) % count) * step


def _bound(plain: Schema, name: str) -> tuple[Fraction | None, bool]:
    """The tighter of a bound and its exclusive form, and whether it is exclusive. In draft 4 the
    exclusive form is a boolean that changes the other one."""
    exclusive_name = "exclusiveMinimum" if name == "minimum" else "exclusiveMaximum"
    inclusive, exclusive = _fraction(plain.get(name)), _fraction(plain.get(exclusive_name))
    if plain.get(exclusive_name) is True:
        return inclusive, True
    if exclusive is None or inclusive is None:
        return (inclusive, False) if exclusive is None else (exclusive, True)
    is_tighter = exclusive >= inclusive if name == "minimum" else exclusive <= inclusive
    return (exclusive, True) if is_tighter else (inclusive, False)


def _fraction(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not (value == 0 or 1 / NUMBER_MAX <= abs(value) <= NUMBER_MAX):
        return None
    return Fraction(str(value))  # Through its decimal form: 0.1 is a tenth.


def _length(value: object, otherwise: int) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return int(value)
    return otherwise


def _named(name: str, said: str, dice: Dice, turn: int) -> str:
    """A string that a property of this name might hold."""
    word = name[-NAME_CHARACTERS_MAX:].lower().replace("_", "").replace("-", "")
    if word in _SAID_NAMES and said and not turn:
        return quoted(said)
    if word in _PLACE_NAMES and not turn:
        place = _place_in(said)
        if place:
            return place
    options = _HINTS.get(word) or next(
        (hint for key, hint in _HINTS.items() if word.endswith(key)), None
    )
    if options is None:
        text = f"sample {quoted(name)}" if name else "sample"
        return f"{text} {turn + 1}" if turn else text
    text = options[(dice.below(len(options)) + turn) % len(options)]
    return f"{text} {turn + 1}" if turn >= len(options) else text


def _place_in(said: str) -> str:
    """The capitalised words behind an `in`, `for`, `to` or `from`: a place, in English."""
    words = said[:400].split()
    for position in range(1, len(words)):
        if words[position - 1] in _PLACE_MARKS and words[position][0].isupper():
            place = []
            for word in words[position : position + 4]:
                if not word[0].isupper():
                    break
                place.append(word.strip("?!.;:\"'"))
                if word[-1] in "?!.;:":
                    break
            return quoted(" ".join(place).strip(","))
    return ""


def _letters(turn: int) -> str:
    """1, 2, ... as the fewest letters: strings of short arrays of short strings differ by them."""
    text = ""
    while turn:
        turn, digit = divmod(turn, 26)
        text += chr(97 + digit)
    return text
