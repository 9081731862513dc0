"""Questions as people type them: in lower case, with typos, with or without a question mark."""

import random

_NEAR = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o",
    "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "x",
}  # fmt: skip

# Words that people use for the same thing. One word at a time: sense must not change.
_ALIKE = {
    "create": ("make", "generate", "set up"),
    "make": ("create",),
    "revoke": ("invalidate", "kill"),
    "show": ("display",),
    "big": ("large",),
    "large": ("big",),
    "program": ("app", "script", "application", "code"),
    "conversation": ("chat",),
    "answer": ("reply", "response"),
    "answers": ("replies", "responses"),
    "server": ("instance", "machine"),
    "message": ("prompt",),
    "header": ("response header", "HTTP header"),
    "get": ("receive", "obtain"),
    "happens": ("occurs",),
    "quickly": ("fast",),
    "fast": ("quickly",),
}

_OPENERS = (
    "Hi, ", "Hello, ", "Hey, ", "Hi! ", "Hello! ", "Quick question: ", "Question: ", "Sorry, ",
    "Please tell me, ", "Could you tell me ", "Can you tell me ", "Do you know ", "Tell me, ",
    "One question: ", "I wonder, ", "Excuse me, ", "So, ", "Well, ", "Okay, ", "By the way, ",
    "Also, ", "I'm new here. ", "I am a student. ", "For my program: ", "Just curious: ",
    "I was wondering, ", "Good morning. ", "In Keyhall, ", "With Keyhall, ", "Keyhall: ",
    "Could you explain ", "Another thing: ", "Now, ", "Hey Keyhall, ",
)  # fmt: skip
_CLOSERS = (" Thanks!", " Thank you.", " please", ", please", " pls", " thx", " Thanks in advance.",
            " I need to know.", " in Keyhall", " with Keyhall", " here", " exactly",
            " by the way")  # fmt: skip
_ASKING = (
    "how", "what", "which", "where", "when", "who", "why", "can", "may", "is", "are", "do", "does",
    "should", "will", "could", "in", "at", "on", "with", "by", "from", "for", "to", "after",
)  # fmt: skip


def typo(word: str, rng: random.Random) -> str:
    """One slip of a finger in a word of four letters or more."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice(_NEAR.get(word[at].lower(), "e")) + word[at + 1 :]


# Words that people leave out who type as into a search box.
_SMALL = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "do",
        "does",
        "did",
        "i",
        "can",
        "could",
        "may",
        "my",
        "me",
        "it",
        "its",
        "of",
        "to",
        "for",
        "in",
        "on",
        "at",
        "with",
        "by",
        "be",
        "will",
        "would",
        "should",
        "you",
        "your",
        "please",
        "there",
        "that",
        "this",
    ]
)


def _terse(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    kept = [word for word in words if word.lower() not in _SMALL or rng.random() < 0.3]
    return " ".join(kept) if len(kept) >= 2 else text


def _alike(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for index, word in enumerate(words):
        if word in _ALIKE and rng.random() < 0.2:
            words[index] = rng.choice(_ALIKE[word])
    return " ".join(words)


def typed(question: str, rng: random.Random, *, plain: bool = False) -> str:
    """The question as somebody may type it. `plain`: as it is, but for case and mark."""
    text = question.strip()
    asking = text.split(" ")[0].lower() in _ASKING
    if not plain:
        text = _alike(text, rng)
        if rng.random() < 0.07:
            text = _terse(text, rng)
        if rng.random() < 0.12:
            text = rng.choice(_OPENERS) + (text[0].lower() + text[1:])
        if rng.random() < 0.06:
            text += rng.choice(_CLOSERS)
    if text[-1] not in "?!.=":
        chance = rng.random()
        if asking:
            text += (
                "?" if chance < 0.72 else " ?" if chance < 0.74 else "??" if chance < 0.76 else ""
            )
        elif chance < 0.45:
            text += "?" if chance < 0.2 else "."
    if rng.random() < 0.72:
        text = text[0].upper() + text[1:]
    elif rng.random() < 0.5:
        text = text.lower()
    if not plain and rng.random() < 0.12:
        words = text.split(" ")
        at = rng.randrange(len(words))
        words[at] = typo(words[at], rng)
        text = " ".join(words)
    return text
