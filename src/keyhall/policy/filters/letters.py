"""Letters that look like Latin ones: our own small table, by eye, of what is used to hide a word.

Of letters with a case both forms go the same way, so that a word of that script is still found
in either: Cyrillic `в` becomes `b` because `В` looks like `B`. Keys are in their folded case.
"""

_ALIKE = {
    "a": "αаɑᴀ𐊠ꭺᎪꓮ",
    "b": "βвьƅʙᴃᏴꓐ",
    "c": "сϲᴄⅽᏟꓚ",
    "d": "ԁđɖᴅꓓᎠ",
    "e": "εеєҽᴇꬲᎬꓰ",
    "f": "ғꞙϝꜰꓝ",
    "g": "ɡԍɢցᶃꓖᏀ",
    "h": "ηнһհħʜᎻꓧ",
    "i": "ιіıɪӏᎥꓲǀ",
    "j": "јϳʝᴊᎫꓙ",
    "k": "κкᴋᏦꓗ",
    "l": "łʟᏞꓡ",
    "m": "μмᴍᎷꓟ",
    "n": "νпոɴꓠ",
    "o": "οоօøσᴏꓳ",
    "p": "ρрᴘᏢꓑ",
    "q": "ԛգզ",
    "r": "гʀᴦꓣᎡ",
    "s": "ѕꜱʂՏտꓢᏚ",
    "t": "τтᴛŧꓔᎢ",
    "u": "υսʋᴜꓴ",
    "v": "ѵᴠꓦᏙ",
    "w": "ѡԝաωᴡꓪᎳ",
    "x": "χхⅹꓫ",
    "y": "уүγʏყꓬ",
    "z": "ζᴢʐꓜᏃ",
}


def _drawn() -> dict[str, str]:
    """Letters in squares, circles and on flags, which Unicode does not call letters."""
    found: dict[str, str] = {}
    for first in (0x1F150, 0x1F170, 0x1F1E6):
        for number in range(26):
            found[chr(first + number)] = chr(0x61 + number)
    return found


LOOKALIKES: dict[str, str] = {
    unlike.casefold(): letter for letter, those in _ALIKE.items() for unlike in those
} | _drawn()
