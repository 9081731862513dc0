"""The scan of streams and of whole texts: the same verdict, the same masks, the same cut."""

from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall.policy.filters.built_in import GROUPS, rules
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Scanner, Verdict

# Rules that meet, overlap, and have everything that could depend on where a piece ends.
RULES = (
    Rule(id="size", stage="size", action="block", characters=60),
    Rule(id="signs", stage="encoding", action="mask", signs=("invisible", "bidi")),
    Rule(id="terms", stage="terms", action="flag", terms=("bad", "bad dog", "*gy", "пёс", "ab*")),
    Rule(id="masked", stage="terms", action="mask", label="TERM", terms=("dog", "a b a", "犬")),
    Rule(id="blocked", stage="terms", action="block", terms=("zzz", "b zz a")),
    Rule(id="digits", stage="pattern", action="mask", label="DIGITS", pattern=r"\b[0-9]{2,5}\b"),
    Rule(id="anchors", stage="pattern", action="flag", pattern=r"^a|a$|\bb.{0,3}\Bg"),
    Rule(id="begin", stage="pattern", action="mask", pattern=r"(?i)a(?:b{1,3}|c)?d?"),
    Rule(id="wide", stage="pattern", action="flag", pattern=r"[а-яё]{2,3}[^ ]?"),
    Rule(id="trial", stage="pattern", action="block", pattern="g{2}", percent=10),
    *rules(list(GROUPS)),
)
POLICY = Policy(RULES)

LETTERS = "abcdgzADGZ 01234567890@.-+_[]\n\u200b\u202e\u0301éäßпёсБ犬ﷺ㎏𝐚Ａ\U000e0061"
WORDS = (
    "bad dog", "zzz", "a b a", "4111 1111 1111 1111", "1 4111 1111 1111 1111", "a@b.co",
    "DE89 3704 0044 0532 0130 00 AND", "sk-kh_abcdefghijabcdefghij", "пё\u0301с", "b\u200bad",
    "+49 30 901820", "[DIGITS_1]", "аbbd",
)  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.text(LETTERS, max_size=12))).map("".join)


def streamed(text: str, cuts: list[int], bucket: int) -> tuple[Verdict, int, int]:
    """The verdict on a text that comes in pieces, and the bytes scanned and accounted for."""
    stream = Scanner(POLICY, "out", bucket=bucket).stream()
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    sent = ""
    for begin, end in zip([0, *places], [*places, len(text)], strict=True):
        sent += stream.feed(text[begin:end])
    sent += stream.finish()
    return stream.verdict(sent), stream.scanned, stream.passed + stream.masked


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 500), max_size=12), st.sampled_from([0, 50]))
def test_any_split_into_pieces_gives_the_verdict_on_the_whole(text, cuts, bucket):
    """Hits, masks and cut: what a rule finds cannot be hidden by where the engine pauses."""
    whole = Scanner(POLICY, "out", bucket=bucket).whole(text)
    verdict, scanned, accounted = streamed(text, cuts, bucket)
    assert verdict == whole
    if whole.block is None:
        assert scanned == accounted == len(text.encode())
    else:
        assert accounted <= scanned <= len(text.encode())


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_one_character_at_a_time_is_a_split_too(text):
    whole = Scanner(POLICY, "out").whole(text)
    verdict, _, _ = streamed(text, list(range(len(text))), 0)
    assert verdict == whole
