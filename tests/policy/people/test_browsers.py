"""Browsers in words."""

import pytest

from keyhall.policy.people.browsers import in_words

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CHROME.format("Windows NT 10.0"), "Chrome on Windows"),
        (CHROME.format("Windows NT 10.0") + " Edg/140.0", "Edge on Windows"),
        (CHROME.format("Linux; Android 15"), "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU like Mac OS X) Version/18 Safari/604", "Safari on iPhone"),
        ("curl/8.1", "curl"),
        ("Something (Linux)", "A browser on Linux"),
        ("", "Unknown browser"),
        ("<script>", "Unknown browser"),
    ],
)
def test_a_browser_is_known_by_its_name_and_system(text, words):
    assert in_words(text) == words
