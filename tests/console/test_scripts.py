"""Our scripts make text, never HTML; and what a model or a key says is kept nowhere (attack 5)."""

import re

import pytest

from keyhall.console import static

OURS = sorted(name for name in static.names() if name.endswith(".js") and "vendor/" not in name)
MAKES_HTML = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|\beval\(|"
    r"new Function|srcdoc"
)
# Reads a page of ours again, as a browser does that loads it; nothing of it runs on the way.
PARSES = {"usage.js"}
KEEPS = re.compile(r"localStorage|sessionStorage|indexedDB|document\.cookie|caches\.")


@pytest.mark.parametrize("name", OURS)
def test_no_script_of_ours_makes_html_of_text(name):
    text = static.file(name).body.decode()
    assert not MAKES_HTML.search(text)
    assert "DOMParser" not in text or name in PARSES


@pytest.mark.parametrize("name", [name for name in OURS if "playground/" in name or "docs" in name])
def test_no_script_that_holds_a_key_keeps_anything(name):
    assert not KEEPS.search(static.file(name).body.decode())
