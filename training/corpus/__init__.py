"""The training text of the house model: written here, drawn by a seed.

    python -m training.corpus --seed 1 --conversations 20 --show

Nothing in this folder reads the exam, but for `overlap.py`, which keeps the two apart.
"""

from training.corpus.compose import Text, Turn, conversations
from training.corpus.entries import ENTRIES
from training.corpus.pages import pages

__all__ = ["Text", "Turn", "conversations", "ENTRIES", "pages"]
