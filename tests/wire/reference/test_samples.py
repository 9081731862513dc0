"""Samples: they are programs, and name the reader's own server."""

import ast
import shlex

import pytest

from keyhall.wire.reference.routes import DESCRIBED
from keyhall.wire.reference.samples import samples

URL = "https://keyhall.example"


@pytest.mark.parametrize("route", DESCRIBED, ids=lambda route: route.name)
def test_every_sample_is_whole_and_asks_the_reader_s_server(route):
    made = samples(route, URL)
    ast.parse(made["Python"])
    words = shlex.split(made["curl"].replace("\\\n", " "))
    assert words[:2] == ["curl", URL + (route.sample_path or route.path)]
    assert made["JavaScript"].count("(") == made["JavaScript"].count(")")
    assert all(URL in text for text in made.values())
    assert all("{model}" not in text for text in made.values())


def test_only_what_needs_a_key_sends_one():
    for route in DESCRIBED:
        sends = [text for text in samples(route, URL).values() if "OPENAI_API_KEY" in text]
        assert bool(sends) == (route.sent != "nothing"), route.name
