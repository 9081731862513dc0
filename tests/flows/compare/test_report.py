"""The report holds whatever models say, and acts on none of it."""

from html.parser import HTMLParser

from keyhall import tokenizers
from keyhall.flows.compare import asking, report
from keyhall.flows.compare.report import Comparison
from keyhall.policy.answers.comparison import Answer, Pair

HOSTILE = "<script>alert(1)</script></div></details>\x00\x1b[31m \u202e evil \ud800 &amp; {{ 7*7 }}"


def compared(*pairs, prompts=None, names=("v1", "v1.1")):
    prompts = prompts or [[{"role": "user", "content": f"Prompt {at}"}] for at in range(9)]
    made = asking.measured(list(pairs), tokenizers.load("o200k_base"))
    return Comparison(names, prompts, made, 1, 64, 2, "http://127.0.0.1:8484/v1", "2026-11-28")


def said(text, **facts):
    given = {"finish": "stop", "model": "m-1", "fingerprint": "fp_1", "first_ms": 12.0}
    return Answer(text, **(given | {"output_tokens": 9, "total_ms": 20_000.0} | facts))


class Tags(HTMLParser):
    """Each tag with its attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_what_models_say_stands_as_text_and_nothing_else():
    problem = Answer(problem=f"503: {HOSTILE}")
    prompts = [[{"role": "system", "content": HOSTILE}, {"role": "user", "content": HOSTILE}]]
    pairs = (
        Pair(0, 1, said(HOSTILE), problem),
        Pair(0, 2, said("a"), said(HOSTILE, model=HOSTILE)),
    )
    page = report.html(compared(*pairs, prompts=prompts, names=("<b>v1", "v1.1")))
    page.encode("utf-8", "replace")
    found = Tags(page)
    assert not [tag for tag, _ in found.tags if tag in ("script", "img", "iframe", "form", "b")]
    assert found.text.count("<script>alert(1)</script></div></details>") >= 5
    assert "{{ 7*7 }}" in found.text
    assert not {"\x00", "\x1b", "\u202e"} & set(page)


def test_the_page_needs_and_fetches_nothing():
    page = report.html(compared(Pair(0, 1, said("a"), said("b"))))
    for tag, attributes in Tags(page).tags:
        assert not {"src", "srcset", "data", "action", "onclick", "onload"} & attributes.keys(), tag
        assert attributes.get("href", "#").startswith("#")
        assert tag != "link"
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_it_shows_figures_pictures_and_answers_side_by_side():
    loop, plain = said("go on and " * 30), said(" ".join(f"word{at}" for at in range(60)))
    page = report.html(compared(*(Pair(at, 1, loop, plain) for at in range(6))))
    found = Tags(page)
    pictures = [attributes for tag, attributes in found.tags if tag == "svg"]
    assert len(pictures) == 9 + 6  # one of each measure, one of each prompt
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    assert "m-1 (fp_1)" in found.text
    assert found.text.count("better") > 5
    assert sum(tag == "article" for tag, _ in found.tags) == 12
    assert "word59" in found.text


def test_without_any_answer_it_says_so():
    failed = Answer(problem="No answer: refused")
    page = Tags(report.html(compared(Pair(0, 1, failed, failed)))).text
    assert "nothing to compare" in page
    assert "2 answers did not come." in page
    silent = Tags(report.html(compared(Pair(0, 1, said(""), said("", finish="tool_calls"))))).text
    assert "It said nothing." in silent
    assert "called a tool" in silent


def test_amounts_are_written_as_people_read_them():
    assert report.amount(0.1234, "share") == "12.3 %"
    assert report.amount(-0.1234, "share", signed=True) == "\u221212.3 %"
    assert report.amount(12.34, "ms", signed=True) == "+12 ms"
    assert report.amount(12_340, "ms") == "12.3 s"
    assert report.amount(3.0, "tokens") == "3.0"
    assert report.amount(None, "tokens") == "-"
