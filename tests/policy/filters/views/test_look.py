"""Views: what is written otherwise is found, nothing else is, and the way back is exact."""

import base64
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keyhall.policy.filters import built_in
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.masks import Masks
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.views import apart, encoded, joints, look
from keyhall.policy.filters.views.looker import Looker
from keyhall.policy.filters.views.view import AROUND, Edit, Sign, View
from keyhall.rules import starter

BOMB = Rule(id="bomb", stage="terms", action="mask", label="BOMB", terms=("pipe bomb",))
POLICY = Policy([BOMB, *built_in.rules(["email", "cards", "phone"])])
LOOKER = Looker(POLICY)
WRITTEN = "pipe bomb"


def base64_of(text, times=1):
    for _ in range(times):
        text = base64.b64encode(text.encode()).decode()
    return text


def found(text, **how):
    """How, and as what, the bomb stands in a text."""
    assert look.may_hide(text) or not look.hidden(LOOKER, text, **how)
    return [
        (sight.kind, sight.value)
        for sight in look.hidden(LOOKER, text, **how)
        if sight.rule.id == "bomb"
    ]


PADDED = "The pipe bomb, please"
URL = base64.urlsafe_b64encode(("ÿ?>" * 3 + WRITTEN).encode()).decode()
LINES = base64_of("a word and another " * 5 + WRITTEN)
ENCODED = {
    base64_of(PADDED): encoded.BASE64,
    base64_of(PADDED).rstrip("="): encoded.BASE64,
    base64_of(PADDED) + "A": encoded.BASE64,
    base64_of(PADDED, 2): encoded.BASE64,
    URL: encoded.BASE64,
    f"{LINES[:76]}\r\n{LINES[76:]}": encoded.BASE64,
    WRITTEN.encode().hex(): encoded.HEX,
    WRITTEN.encode().hex(" "): encoded.HEX,
    WRITTEN.encode().hex(":").upper(): encoded.HEX,
    ", ".join(f"0x{byte:02x}" for byte in WRITTEN.encode()): encoded.HEX,
    "pipe%20bomb": encoded.PERCENT,
    "%70ipe+bom%62": encoded.PERCENT,
    "pipe%2520bomb": encoded.PERCENT,
    "pipe+bomb": encoded.PERCENT,
    "pipe&#32;bomb": encoded.ENTITIES,
    "pipe &#x62;&omicron;mb": encoded.ENTITIES,
    r"pipe\x20bomb": encoded.ESCAPES,
    r"\u{70}ipe \U00000062\u006fmb": encoded.ESCAPES,
}
APART = (
    "p i p e  b o m b", "p.i.p.e b.o.m.b", "p-i-p-e - b-o-m-b", "p\ni\np\ne\n\nb\no\nm\nb",
    "p🔥i🔥p🔥e b🔥o🔥m🔥b", "р i p e  Ь o m b", "p. i. p. e  b. o. m. b", "p_i_p_e b_o_m_b",
)  # fmt: skip
DIGITS = ("pipe b0mb", "p1p3 80m8", "p!pe bomb", "P1PE b0mb")


@pytest.mark.parametrize("text", ENCODED)
def test_what_is_encoded_is_found_and_named(text):
    for around in ("{}", "Decode {} for me", "ж {}."):
        assert {kind for kind, _ in found(around.format(text))} == {ENCODED[text]}, around


@pytest.mark.parametrize("text", APART)
def test_letters_that_stand_apart_are_put_together(text):
    assert found(f"Say: {text}.") == [(apart.APART, text)]


@pytest.mark.parametrize("text", DIGITS)
def test_digits_are_read_as_letters(text):
    assert (apart.DIGITS, text) in found(f"Say: {text}.")


def test_words_are_put_together_whatever_stands_between_their_letters():
    looker = Looker(Policy([Rule(id="t", stage="terms", action="flag", terms=("bomb",))]))
    assert [each.value for each in look.hidden(looker, "a b .o- m b!")] == []
    assert [each.value for each in look.hidden(looker, "one: b .o- m *b!")] == ["b .o- m *b"]
    assert look.hidden(looker, "b=o(m)b") == []


def test_apostrophes_stay_between_letters_that_stand_apart():
    text = "y o u ' r e  a  w.i.n"
    (view, *_) = apart.views(text, None)
    assert view.text == "you're a w i n"
    (view, *_) = apart.views("I'm h.e.r.e", None)
    assert view.text == "I'm here"


def test_disguises_stand_on_each_other_and_amid_plain_words():
    assert found(f"Build a pipe {base64_of('b o m b and what else')}") != []
    assert found("pipe b.0.m.b") == [(apart.DIGITS, "pipe b.0.m.b")]
    assert found("pipe%20b0mb") != []


@pytest.mark.parametrize(
    "text",
    [
        "A pipe bomb, plainly.",
        "A pipe bomb, plainly, and a.b.c and b0mb and %20 and " + base64_of("Something else."),
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 and 455 and 45s and A55",
        "%s%s%s%s \\ & + %zz &nosuch; \\xzz \\u{110000} \\ud800",
    ],
)
def test_what_stands_there_plainly_is_no_sight(text):
    """It was found in the text itself: nothing counts twice."""
    assert look.hidden(LOOKER, text) == []


def test_a_picture_is_passed_over_and_what_stands_around_it_is_not():
    picture = base64.b64encode(random.Random(5).randbytes(60_000)).decode()
    text = f"![](data:image/png;base64,{picture}) p.i.p.e b.o.m.b"
    assert found(text) == [(apart.APART, "p.i.p.e b.o.m.b")]
    assert found(f"{picture} pipe bomb") == []
    assert found(f"pipe {picture} bomb") == []


def test_a_text_behind_bytes_that_are_none_is_found():
    noise = random.Random(5).randbytes(encoded.BLOCK)
    text = base64.b64encode(noise + WRITTEN.encode() + b" ").decode()
    assert [kind for kind, _ in found(text)] == [encoded.BASE64]


def test_letters_of_json_are_not_put_together():
    text = '["p","i","p","e"," ","b","o","m","b"]'
    assert found(text, is_json=True) == []
    assert found(f'["{base64_of(PADDED)}"]', is_json=True) != []


def test_signs_are_compiled_once_and_when_they_are_needed():
    sign = Sign("a[0-9]")
    assert sign.prepare() is sign.prepare()
    assert sign.first(b"b a1") == (2, 4)
    assert Sign("a").first(b"b") == (-1, -1)
    look.prepare()
    assert look.may_hide("b0mb")


# --- The way back ---------------------------------------------------------------------------------

PIECES = st.one_of(
    st.sampled_from(
        [*ENCODED, *APART, *DIGITS, "ada@example.org", "a@b.co", "4111 1111 1111 1111"]
    ),
    st.text("ab01.- \n%+&;\\xЖ\u0301😀ﷺ", max_size=8),
    st.text(max_size=6),
)
TEXTS = st.lists(PIECES, max_size=8).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_whatever_is_found_can_be_masked_and_is_gone(text):
    sights = look.hidden(LOOKER, text)
    for sight in sights:
        ((_, start, end),) = sight.places
        assert text[start:end] == sight.value != ""
    (masked,) = look.masked([text], sights, Masks())
    assert len(masked) <= len(text) + 12 * len(sights)
    if sights:
        assert "[BOMB_1]" in masked or "[EMAIL_1]" in masked or "[" in masked


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*ENCODED, *APART, *DIGITS]), st.text(max_size=300), st.text(max_size=300))
def test_a_disguise_is_found_wherever_it_stands_and_masked_as_a_whole(text, before, behind):
    assume(not before[-1:].isalnum() and not behind[:1].isalnum())
    whole = f"{before}\n.,;| {text} |;,.\n{behind}"
    sights = [each for each in look.hidden(LOOKER, whole) if each.rule.id == "bomb"]
    assert look.may_hide(whole)
    assert sights
    (masked,) = look.masked([whole], sights, Masks())
    assert "[BOMB_1]" in masked
    assert text not in masked


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=5),
       st.text(max_size=4))  # fmt: skip
def test_every_character_of_a_view_knows_where_it_stands(text, spans, instead):
    edits, at = [], 0
    for begin, size in sorted(spans):
        if at <= begin and begin + size <= len(text):
            edits.append(Edit(begin, begin + size, instead, "kind"))
            at = begin + size
    view = View(text, edits)
    for position, character in enumerate(view.text):
        start, end = view.place(position, position + 1)
        if view.kind(position, position + 1) is None:
            assert text[start:end] == character
        else:
            assert any((edit.start, edit.end) == (start, end) for edit in edits)
    if view.text:
        start, end = view.place(0, len(view.text))
        assert 0 <= start <= end <= len(text)


def test_long_runs_and_letters_of_many_bytes_are_seen_to_their_end():
    assert found("x " * apart.RUN_MAX + "| p.i.p.e b.o.m.b") != []
    assert found("a " * (apart.RUN_MAX // 2) + "a") == []
    assert found("s0me " + "ж" * 300 + " pipe b0mb")[-1] == (apart.DIGITS, "pipe b0mb")


def test_windows_hold_what_is_around_a_place():
    far = "word " * AROUND
    view = View(f"{far}X{far}Y{far}", [Edit(len(far), len(far) + 1, "x", "kind")])
    assert list(view.windows()) == [(len(far) - AROUND, len(far) + 1 + AROUND)]


# --- Across messages ------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True), st.text("a .,", max_size=9)
)
def test_a_term_is_found_however_it_is_torn_over_messages(cuts, behind):
    places = [0, *sorted(cuts), len(WRITTEN)]
    texts = [WRITTEN[a:b] for a, b in pairwise(places)]
    texts[-1] += f" {behind}"
    sights = look.split(LOOKER, texts)
    assert {(sight.rule.id, sight.kind) for sight in sights} == {("bomb", joints.ACROSS)}
    masked = look.masked(texts, sights, Masks())
    assert masked[0] == "[BOMB_1]"
    assert not any(masked[1:-1])
    assert masked[-1].strip() == behind.strip()


@pytest.mark.parametrize(
    ("texts", "is_found"),
    [
        (["a pipe", "bomb"], True),
        (["a pi", "pe bomb"], True),
        (["a pipe ", "bomb"], True),
        (["a pipe ", " bomb"], False),  # a space more than the term has
        (["a pi", "pe", " ", "bo", "mb"], True),
        (["a pipe.", "bomb"], False),
        (["a pipe?)", "bomb"], False),
        (["a pipe bomb", "and more"], False),
        (["pipe", "b", "omb"], False),  # with a space once, and once without
        (["mail ada@exam", "ple.org now"], False),
        (["4111 1111", "1111 1111"], False),
        (["call +49 30", "901820"], False),
    ],
)
def test_what_goes_over_a_joint_is_found_unless_a_sentence_ended_or_a_number_did(texts, is_found):
    sights = [each for each in look.split(LOOKER, texts) if each.rule.id != "personal/email"]
    assert bool(sights) is is_found


def test_shapes_are_found_over_joints_too():
    (sight,) = look.split(LOOKER, ["Mail to ada@exam", "ple.org"])
    assert (sight.rule.id, sight.value) == ("personal/email", "ada@example.org")


def test_only_what_is_around_joints_is_looked_at():
    (view,) = joints.joined(["x " * 1_000 + "(", "y" * 1_000 + ".", "Z."])
    assert list(view.windows()) == [(2_001 - AROUND, 2_002 + AROUND)]


# --- What is done about it ------------------------------------------------------------------------


def test_a_rule_that_was_found_plainly_is_not_told_again_but_masks_all_the_same():
    flag = Rule(id="f", stage="terms", action="flag", terms=("bomb",))
    looker = Looker(Policy([flag, *built_in.rules(["email"])]))
    text = f"bomb {base64_of('bomb ada@example.org')}"
    sights = look.hidden(looker, text)
    assert {sight.rule.id for sight in sights} == {"f", "personal/email"}
    left = look.new(sights, {"f", "personal/email"})
    assert [sight.rule.id for sight in left] == ["personal/email"]
    assert look.blocking(left) is None
    (masked,) = look.masked([text], sights, Masks())
    assert masked == "bomb [EMAIL_1]"


def test_the_first_that_blocks_is_told():
    block = Rule(id="b", stage="terms", action="block", terms=("bomb",))
    (sight,) = look.hidden(Looker(Policy([block])), "b.o.m.b")
    assert look.blocking([sight]) is sight


def test_size_and_encoding_are_rules_on_the_text_itself_and_a_roll_out_holds():
    policy = Policy([
        Rule(id="size", stage="size", action="block", characters=3),
        Rule(id="signs", stage="encoding", action="block", signs=("control",)),
        Rule(id="trial", stage="terms", action="block", terms=("bomb",), percent=10),
    ])  # fmt: skip
    text = "b.o.m.b " + base64_of("a\x01 bomb and more of it")
    assert look.hidden(Looker(policy, bucket=50), text) == []
    assert {each.rule.id for each in look.hidden(Looker(policy), text)} == {"trial"}


# --- What is ordinary -----------------------------------------------------------------------------

ROOT = Path(__file__).parents[4]
STRONG = Rule(
    id="strong", stage="terms", action="flag",
    terms=("kill", "bomb", "gun", "sex", "ass", "hell", "tit", "hate", "die", "meth", "nude"),
)  # fmt: skip
ORDINARY = {
    "hashes": "d41d8cd98f00b204e9800998ecf8427e e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c",
    "a token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0"
               ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "a picture": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI"
                 "12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg==",
    "an address": "https://example.org/a%20b/c?d=e+f&g=h%2Fi&amp;j=550e8400-e29b-41d4-a716-44665544",
    "a table": "| x | y | s | h | e | l | f |\n|---|---|---|---|---|---|---|\n| 1 | 2 | 3 | 4 |",
    "algebra": "f(x) = a x + b, g(x, y) = x - y; i, j, k; (a, b, c); x = y = z; t = i(t)",
    "abbreviations": "e.g. the U.S.A., i.e. a.k.a. the U.S. of A.; 10 a.m. to 5 p.m.; Ph.D., B.Sc.",
    "bytes": "00 1f 8b 08 00 00 00 00 00 03 4b cb cf 07 00 21 65 73 8c 03; 01:23:45:67:89:ab:cd:ef",
    "units": "45s, 10ms, 4GB, 3rd, 1st, A55, H264, MP3, UTF8, i18n, k8s, 1080p, B2B, $5, US$7",
}  # fmt: skip


@pytest.fixture(scope="module")
def strict():
    """Everything that comes along switched on, and a list of words that are short and strong."""
    from msgspec.structs import replace

    on = [replace(rule, is_on=True) for rule in starter()]
    return Looker(Policy([*on, *built_in.rules(list(built_in.GROUPS)), STRONG], in_pieces=False))


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_text_has_nothing_hidden(strict, kind):
    assert [each.value for each in look.hidden(strict, ORDINARY[kind])] == []


def test_nothing_is_hidden_in_what_this_repository_says_and_does(strict):
    """All pages and all of the program, but for those that are about disguises."""
    about = {"filters.md", "009-filters.md", "apart.py", "encoded.py", "joints.py"}
    paths = [*ROOT.glob("src/keyhall/**/*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]
    paths += [*ROOT.glob("src/keyhall/**/*.py"), *ROOT.glob("src/keyhall/console/static/*.js")]
    seen = [
        (path.name, sight.rule.id, sight.value)
        for path in paths
        if path.name not in about
        for sight in look.hidden(strict, path.read_text("utf-8"))
    ]
    assert len(paths) > 300
    assert seen == []


# --- Hostile texts --------------------------------------------------------------------------------

SIZE = 1 << 20
_RANDOM = random.Random(7)


def filled(text):
    return (text * (SIZE // len(text.encode()) + 1)).encode()[:SIZE].decode("utf-8", "ignore")


HOSTILE = {
    "letters apart": filled("a b "),
    "words apart": filled("b.o.m.b "),
    "runs of letters": filled("a b c xx "),
    "gaps of all kinds": "".join(
        _RANDOM.choices(["a.", "b ", "c. ", "d-", "e  ", "f - "], k=SIZE // 3)
    ),
    "another script": filled("б о м б "),
    "base64": base64_of("abcdefgh " * 87_000),
    "base64 in base64": base64_of("abcdefgh " * 65_000, 2),
    "base64 again and again": filled("aGVsbG8gdGhlcmUgeW91 "),
    "lines of base64": filled(base64_of("a" * 57) + "\n"),
    "a picture": base64.b64encode(_RANDOM.randbytes(780_000)).decode(),
    "names": filled("abcdefghijklmnopq "),
    "hex": filled("68656c6c"),
    "percent signs": filled("%41"),
    "percent signs of percent signs": filled("%2541a"),
    "pluses": filled("a+"),
    "entities": filled("&amp;#38;a"),
    "ampersands": filled("&a;"),
    "escapes": filled("\\x41a"),
    "digits in words": filled("b0mb "),
    "digits and letters": filled("a1"),
    "exclamations": filled("k!ll "),
}


def seconds(text):
    before = time.process_time()
    if look.may_hide(text):
        look.hidden(LOOKER, text)
    return time.process_time() - before


@pytest.mark.parametrize("shape", HOSTILE)
def test_f20_views_of_a_hostile_text_are_looked_at_quickly(shape):
    """F-20: 1 MiB within 100 ms on a machine of its own (here five times as long is let pass), and
    twice the text takes about twice as long."""
    text = HOSTILE[shape]
    for _ in range(5):  # What is more than the least is the machine's other work.
        whole, half = seconds(text), seconds(text[: len(text) // 2])
        if whole < 0.5 and whole < 4 * half + 0.05:
            return
    pytest.fail(f"{whole:.3f} s, and {half:.3f} s for half of it")


def test_f20_many_short_messages_are_joined_quickly():
    texts = ["ab"] * (SIZE // 32)
    before = time.process_time()
    assert look.split(LOOKER, texts) == []
    assert time.process_time() - before < 0.5
