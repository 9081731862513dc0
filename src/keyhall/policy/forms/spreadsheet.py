"""Cells of tables that are opened in a spreadsheet, which runs what looks like a formula."""

# What a spreadsheet takes for the beginning of one, also in the wide forms of East Asia.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def harmless(text: str) -> str:
    """Text that no spreadsheet runs: what looks like a formula gets an apostrophe before it.

    >>> harmless("=1+1"), harmless("web")
    ("'=1+1", 'web')
    """
    return f"'{text}" if text.startswith(FORMULA) else text
