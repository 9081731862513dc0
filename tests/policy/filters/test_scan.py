"""The scan of streams and of whole texts: the same verdict, the same masks, the same cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from keyhall.policy.filters.built_in import GROUPS, rules
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import HITS_MAX, Scanner, Verdict
from keyhall.policy.filters.views.looker import Looker

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


def check(text: str, cuts: list[int], bucket: int) -> None:
    whole = Scanner(POLICY, "out", bucket=bucket).whole(text)
    verdict, scanned, accounted = streamed(text, cuts, bucket)
    assert verdict == whole
    if whole.block is None:
        assert scanned == accounted == len(text.encode())
    else:
        assert accounted <= scanned <= len(text.encode())


CUTS = st.lists(st.integers(0, 500), max_size=12)
BUCKETS = st.sampled_from([0, 50])


@settings(max_examples=120, deadline=None)
@given(TEXTS, CUTS, BUCKETS)
def test_any_split_into_pieces_gives_the_verdict_on_the_whole(text, cuts, bucket):
    """Hits, masks and cut: what a rule finds cannot be hidden by where the engine pauses."""
    check(text, cuts, bucket)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(TEXTS, CUTS, BUCKETS)
def test_any_split_into_pieces_gives_the_verdict_on_the_whole_for_ten_thousand_texts(
    text, cuts, bucket
):
    check(text, cuts, bucket)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_one_character_at_a_time_is_a_split_too(text):
    check(text, list(range(len(text))), 0)


@settings(max_examples=60, deadline=None)
@given(TEXTS, BUCKETS)
def test_what_is_found_is_what_hits_where_nothing_is_done_about_it(text, bucket):
    """`found` hides nothing behind a block or a mask; size and signs are left out."""
    counting = Policy([replace(rule, action="allow", label="") for rule in RULES])
    hits = Scanner(counting, "in", bucket=bucket).whole(text).hits
    found = Looker(POLICY, "in", bucket=bucket).found(text)
    assert {(rule.id, start, end) for rule, start, end in found} == {
        (hit.rule_id, hit.start, hit.end) for hit in hits if hit.rule_id not in ("size", "signs")
    }


# --- What waits in a stream -----------------------------------------------------------------------


def gone(policy: Policy, *pieces: str) -> list[str]:
    """What goes out after each piece."""
    stream = Scanner(policy).stream()
    return [stream.feed(piece) for piece in pieces] + [stream.finish()]


def test_only_what_could_become_a_hit_waits():
    """A stream does not stall while its engine pauses, and no window of fixed size waits."""
    policy = Policy([Rule(id="t", stage="terms", action="block", terms=("pipe bomb",))])
    assert gone(policy, "a long story of p", "lumbers") == ["a long story of ", "plumbers", ""]
    assert gone(policy, "x", "p", "i", "p", "e") == ["x", "p", "i", "p", "e", ""]
    assert gone(policy, "the pipe bo", "x") == ["the ", "pipe box", ""]
    assert gone(policy, "the pipe bomb", "s") == ["the ", "pipe bombs", ""]
    assert gone(policy, "the pipe bomb", ".") == ["the ", "", ""]


def test_words_wait_for_what_could_be_an_address_and_no_longer():
    policy = Policy(rules(["email"]))
    assert gone(policy, "I am", " here,", " ok") == ["I ", "am here,", " ", "ok"]
    assert gone(policy, "Ada@example", ".org is") == ["", "[EMAIL_1] ", "is"]


def test_a_cut_lets_nothing_more_out():
    policy = Policy([Rule(id="t", stage="terms", action="block", terms=("bad",))])
    stream = Scanner(policy).stream()
    assert stream.feed("so bad, ") == "so "
    assert stream.feed("more") == stream.finish() == ""
    assert stream.verdict("so ").block.rule_id == "t"


def test_the_held_text_can_be_looked_at():
    stream = Scanner(Policy(rules(["email"]))).stream()
    stream.feed("hello wor")
    assert stream.held == "wor"


def test_a_verdict_names_a_bounded_number_of_hits_and_masks_all():
    policy = Policy([Rule(id="t", stage="terms", action="mask", terms=("x",))])
    verdict = Scanner(policy).whole("x " * 2_000)
    assert len(verdict.hits) == HITS_MAX
    assert verdict.text == "[MASKED_1] " * 2_000
    assert verdict.action == "mask"


def test_overlapping_masks_leave_no_rest():
    """What one rule masks stays masked, whatever another finds across its border."""
    policy = Policy([
        Rule(id="a", stage="terms", action="mask", label="A", terms=("one two",)),
        Rule(id="b", stage="terms", action="mask", label="B", terms=("two three",)),
    ])  # fmt: skip
    assert Scanner(policy).whole("one two three four").text == "[A_1][B_1] four"


def test_half_a_surrogate_pair_breaks_nothing():
    """No JSON that is let in has one; an engine of somebody's may."""
    policy = Policy(rules(["email"]))
    assert Scanner(policy).whole("\ud800 a@b.co").text == "\ud800 [EMAIL_1]"


@pytest.mark.parametrize(
    ("terms", "text", "found"),
    [
        (("kill",), "skills kill killer", ["kill"]),
        (("kill*",), "skills killer", ["kill"]),
        (("*kill",), "skill killer", ["kill"]),
        (("*kill*",), "skills", ["kill"]),
        (("犬",), "子犬です", ["犬"]),
        (("$$$",), "a$$$b", ["$$$"]),
        (("New  York",), "new\nyork", ["new\nyork"]),
        (("straße",), "STRASSE", ["STRASSE"]),
        (("a", "A"), "a", ["a"]),
    ],
)
def test_terms_are_words_unless_they_say_otherwise(terms, text, found):
    policy = Policy([Rule(id="t", stage="terms", action="flag", terms=terms)])
    hits = Scanner(policy).whole(text).hits
    assert [text[hit.start : hit.end] for hit in hits] == found


def test_terms_and_patterns_know_their_own_way():
    policy = Policy([
        Rule(id="in", stage="terms", action="block", direction="in", terms=("a",)),
        Rule(id="out", stage="terms", action="block", direction="out", terms=("b",)),
        Rule(id="off", stage="terms", action="block", is_on=False, terms=("c",)),
        Rule(id="judge", stage="model", action="block", engine="m", direction="out"),
    ])  # fmt: skip
    assert Scanner(policy, "in").whole("b c").action == "allow"
    assert Scanner(policy, "in").whole("a").action == "block"
    assert Scanner(policy, "out").whole("a c").action == "allow"
    assert [rule.id for rule in policy.models["out"]] == ["judge"]
    assert policy.models["in"] == ()


# --- Words that are skimmed -----------------------------------------------------------------------


def _pattern(pattern: str) -> Rule:
    return Rule(id="p", stage="pattern", action="mask", pattern=pattern)


def _terms(*terms: str) -> Rule:
    return Rule(id="t", stage="terms", action="block", terms=terms)


EMAILS = rules(["email"])
SKIMMED = [
    rules(list(GROUPS)),
    (*rules(list(GROUPS)), _terms("red car", "New York", "token12", "rock-n-roll music", "a b c")),
    (*EMAILS, _terms("red car", "x,y", "end. of", "c++", "no!")),
    (*EMAILS, _terms("re*", "a b*")),
    (*EMAILS, _terms("*ed")),
    (*EMAILS, _terms("#red", "犬")),
    (*EMAILS, Rule(id="s", stage="size", action="block", characters=9)),
    (*EMAILS, _pattern("[^a]b")),
    (*EMAILS, _pattern("a b_")),
    (*EMAILS, _pattern("[^a]_")),
    (*EMAILS, _pattern("(?i)k[0-9]")),
    (*EMAILS, _pattern("a|b1")),
    (*EMAILS, _pattern("A[0-9]")),
    (*EMAILS, _pattern(" [0-9]{2}")),
    (*EMAILS, _pattern("[0-9]{2} ")),
    (*EMAILS, _pattern("[.,]? ?[A-Z]{1,3}_?[0-9]")),
    (*EMAILS, _pattern("[A-Z0-9]{1,9} [A-Z0-9]{1,9}!")),
    (_pattern("[A-Za-z0-9]{1,8}_"),),
    (_pattern("[A-Za-z0-9 ]{1,8}_"),),
    (_pattern("[A-Za-z]{1,8}_"),),
    (_pattern("(?:[A-Za-z0-9]{1,8}){1,2}_"),),
]
TOKENS = st.lists(
    st.one_of(
        st.sampled_from([
            " red", " car", " Cars", ",", ".", " x", ",y", " a", " b", " c", " b_", "@b.co", "_",
            " k1", "\n", ".\n\n", " ", "  ", " ed", " Ab", " aB", "é", " A1", " DE89", " 3704",
            " 0044 0532 0130 00", " 4111", " 1111 1111 1111", " +49", " 30", " 901820", " token12",
            "12", " end", " of", " don't", " rock-n", "-roll", " music", " New", " York", "!",
            " (212)", " 555-0142", " \u043f\u0451\u0441", " sk-kh_", "abcdefghijabcdefghij", ":",
            '"', "*", "犬", "\u200b", " C", "++", "#", "A 1_",
        ]),
        st.text("aZ0 .@_-+\n", max_size=3),
    ),
    max_size=14,
)  # fmt: skip


def _both_ways(compiled: tuple[Policy, Policy], pieces: list[str]) -> None:
    short, full = (Scanner(policy, "out").stream() for policy in compiled)
    for piece in pieces:
        assert short.feed(piece) == full.feed(piece), pieces
    assert short.finish() == full.finish(), pieces
    assert short.verdict("") == full.verdict("")
    assert (short.scanned, short.passed) == (full.scanned, full.passed)


@pytest.mark.parametrize("number", range(len(SKIMMED)))
def test_plain_words_go_the_short_way_to_the_same_end(number):
    """Skimming is a shortcut, never another answer: piece by piece, the same comes out."""
    compiled = Policy(SKIMMED[number]), Policy(SKIMMED[number])
    compiled[1].stages["out"].acting.skimming = None

    @settings(max_examples=150)
    @given(TOKENS)
    def check(pieces):
        _both_ways(compiled, pieces)

    check()
    for first in (" red", " New", ".", " 2024", "\n", " end."):
        for second in (" car", " York", ",", "\n", " 4111", " The"):
            _both_ways(compiled, ["The", first, second, " red", " car"])


def test_most_words_of_prose_go_the_short_way():
    stream = Scanner(Policy((*rules(list(GROUPS)), _terms("red car"))), "out").stream()
    pieces = [
        "The",
        " price",
        ",",
        " token12",
        " was",
        " 42",
        " euros",
        ".",
        "\n\n",
        "It",
        "'s",
        " so",
    ]
    short = 0
    for piece in pieces:
        hold = stream._stages.skimming.hold(stream.held + piece)
        short += hold >= 0
        stream.feed(piece)
    assert short >= len(pieces) - 2


# --- Rules that only note -------------------------------------------------------------------------


def test_what_only_notes_holds_nothing_back_and_is_named_in_order():
    policy = Policy([
        Rule(id="flag", stage="terms", action="flag", terms=("red car",)),
        Rule(id="count", stage="pattern", action="allow", pattern="[a-z]{3,60}"),
        Rule(id="mask", stage="terms", action="mask", terms=("blue",)),
    ])  # fmt: skip
    stream = Scanner(policy, "out").stream()
    assert stream.feed("a red ") == "a red "
    sent = stream.feed("car is ") + stream.feed("blue ") + stream.finish()
    assert sent == "car is [MASKED_1] "
    assert [(hit.rule_id, hit.start) for hit in stream.hits] == [
        ("flag", 2), ("count", 2), ("count", 6), ("mask", 13), ("count", 13),
    ]  # fmt: skip
    assert stream.action == "mask"


def test_what_only_notes_sees_what_went_out_before_a_cut_and_nothing_else():
    policy = Policy([
        Rule(id="flag", stage="terms", action="flag", terms=("red", "car stop")),
        Rule(id="block", stage="terms", action="block", terms=("stop",)),
    ])  # fmt: skip
    for pieces in (["a red car stop red"], [*"a red car stop red"]):
        stream = Scanner(policy, "out").stream()
        assert "".join(map(stream.feed, pieces)) + stream.finish() == "a red car "
        assert [hit.rule_id for hit in stream.hits] == ["flag", "block"]


def test_many_notes_crowd_out_no_block():
    policy = Policy([
        Rule(id="flag", stage="pattern", action="flag", pattern="a"),
        Rule(id="block", stage="terms", action="block", terms=("stop",)),
    ])  # fmt: skip
    stream = Scanner(policy, "out").stream()
    for _ in range(100):
        stream.feed("a" * 99 + " ")
    stream.feed("stop")
    stream.finish()
    assert len(stream.hits) == HITS_MAX + 1
    assert stream.cut == stream.hits[-1]
    assert stream.cut.rule_id == "block"


# --- Many texts at once, and long ones ------------------------------------------------------------


def test_a_mask_ends_with_its_match_in_any_script():
    policy = Policy([Rule(id="p", stage="pattern", action="mask", pattern="[а-яё]{2}|é(?:kg)?")])
    assert Scanner(policy).whole("да, x да y").text == "[MASKED_1], x [MASKED_1] y"
    assert Scanner(policy).whole("a é㎏b").text == "a [MASKED_1]b"


TEXT_LISTS = st.lists(TEXTS, max_size=4)


@settings(max_examples=300)
@given(TEXT_LISTS)
def test_texts_that_pass_together_have_no_hit_alone(texts):
    if POLICY.stages["out"].pass_all(texts):
        for text in texts:
            stream = Scanner(POLICY, "out").stream()
            assert "".join(map(stream.feed, text)) + stream.finish() == text
            assert not stream.hits


@pytest.mark.parametrize(
    "anchored", ["^b", "b$", r"\Ab", r"b\z", "(?:^|x)b", "[^ ]{0,2}(?:b$)?c?b"]
)
def test_what_asks_for_the_ends_of_a_text_is_asked_of_each(anchored):
    policy = Policy([Rule(id="p", stage="pattern", action="flag", pattern=anchored)])
    assert not policy.stages["in"].pass_all(["a", "b", "a"])
    assert not policy.stages["in"].pass_all(["b"])
    assert policy.stages["in"].pass_all(["a", "a"])


@pytest.mark.parametrize(
    ("rule", "texts", "passes"),
    [
        (Rule(id="r", stage="size", action="flag", characters=3), ["ab", "abc"], False),  # perhaps
        (Rule(id="r", stage="size", action="flag", characters=3), ["abc"], True),
        (Rule(id="r", stage="encoding", action="mask", signs=("bidi",)), ["a\u202e"], False),
        (Rule(id="r", stage="terms", action="flag", terms=("dog",)), ["a dog"], False),
        (Rule(id="r", stage="terms", action="flag", terms=("dog",)), ["dog " * 999], False),
        (Rule(id="r", stage="terms", action="flag", terms=("dog",)), ["a " * 999 + "dog"], False),
        (Rule(id="r", stage="terms", action="flag", terms=("dog",)), ["dоg"], False),
        (Rule(id="r", stage="terms", action="flag", terms=("dog",)), ["犬", "пёс"], True),
        (Rule(id="r", stage="pattern", action="mask", pattern="[0-9]{3}"), ["12", "a"], True),
        (Rule(id="r", stage="pattern", action="mask", pattern="[0-9]{3}"), ["１２３"], False),
        (
            Rule(id="r", stage="phrases", action="flag", phrases=("buy lamps",)),
            ["Buy LAMPS"],
            False,
        ),
        (Rule(id="r", stage="phrases", action="flag", phrases=("buy lamps",)), ["Buy a"], True),
    ],
)
def test_texts_pass_together_where_surely_nothing_hits(rule, texts, passes):
    assert Policy([rule]).stages["in"].pass_all(texts) is passes


def test_a_long_text_is_cut_where_the_same_one_in_pieces_is():
    policy = Policy(RULES[1:])
    for text in ("x " * 40_000 + "zzz dog", "犬 a@b.co" * 10_000 + " zzz " + "dog " * 20_000):
        whole = Scanner(policy, "out").whole(text)
        stream = Scanner(policy, "out").stream()
        sent = "".join(stream.feed(text[at : at + 999]) for at in range(0, len(text), 999))
        assert stream.verdict(sent + stream.finish()) == whole
        assert whole.block is not None


@pytest.mark.parametrize("end", ["word", "пёс", "dog", "12", "a@b.co", "\u202e", "red\ndog", "犬"])
def test_the_end_of_a_stream_is_looked_at_like_the_rest(end):
    rules_of = (
        *rules(["email"]),
        _terms("dog"),
        Rule(id="signs", stage="encoding", action="mask", signs=("bidi",)),
        Rule(id="long", stage="size", action="block", characters=12),
    )
    noting = Rule(id="size", stage="size", action="flag", characters=5)
    phrases = Rule(id="phrases", stage="phrases", action="block", phrases=("buy lamps",))
    for more in ((), (noting,), (phrases,)):
        policy = Policy((*rules_of, *more))
        for before in ("", "so ", "so very long "):
            whole = Scanner(policy, "out").whole(before + end)
            stream = Scanner(policy, "out").stream()
            sent = stream.feed(before + end) + stream.finish()
            assert stream.verdict(sent) == whole


def test_without_rules_everything_passes_at_once():
    stream = Scanner(Policy([]), "out").stream()
    assert stream.feed("犬a") + stream.finish() == "犬a"
    assert (stream.scanned, stream.passed, stream.hits) == (4, 4, [])
