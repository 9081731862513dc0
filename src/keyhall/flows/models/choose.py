"""Which file of a repository is meant: repositories offer the same model in many sizes."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.models import files

PREFERRED = "Q4_K_M"  # Of most models the usual balance of size and quality.
LISTED_MAX = 24

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_SITES = ("https://huggingface.co/", "https://hf.co/", "huggingface.co/", "hf.co/")
_PART = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a repository."""

    name: str  # with its folders
    size: int
    sha256: str  # empty: the hub does not say

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def is_model(self) -> bool:
        """A model's file, and not what some repositories have beside it."""
        stem = self.stem.lower()
        return self.name.lower().endswith(".gguf") and not (
            stem.startswith("mmproj") or "imatrix" in stem
        )

    @property
    def is_part(self) -> bool:
        return _PART.search(self.stem) is not None


def parse_repo(text: str) -> tuple[str, str | None]:
    """`Qwen/Qwen3-0.6B-GGUF`, its address in a browser, or one with `:Q8_0` behind it."""
    for site in _SITES:
        text = text.removeprefix(site)
    repo, _, pattern = text.rstrip("/").partition(":")
    if not _REPO.fullmatch(repo):
        raise Invalid(f"'{repo}' is no repository: it is written OWNER/NAME, as on the hub.")
    return repo, pattern or None


def choose(repo: str, found: Sequence[Listed], pattern: str | None) -> Listed:
    """The one that is meant; without a pattern the only one there is, or the preferred one."""
    models = [each for each in found if each.is_model]
    if not models:
        raise NotFound(
            f"{repo} has no GGUF file. Others often offer the same model as one: look for "
            f"{repo.partition('/')[2]} and GGUF on the hub."
        )
    whole = [each for each in models if not each.is_part]
    wanted = _matching(whole, pattern) if pattern else whole
    if len(wanted) > 1:
        exact = (pattern or PREFERRED).upper()
        wanted = [each for each in wanted if files.quantization_of(each.stem) == exact] or wanted
    if len(wanted) == 1:
        return wanted[0]
    if not wanted and not whole:
        raise Invalid(f"{repo} has its models in several parts; Keyhall takes one that is whole.")
    what = "match" if wanted else "none of them matches"
    said = f"{len(wanted)} {what} '{pattern}'" if wanted else f"{what} '{pattern}'"
    reason = f"; {said}" if pattern else ""
    raise (Invalid if wanted else NotFound)(
        f"{repo} has {len(whole)} GGUF files{reason}. Name one with --file:\n"
        f"{_told(wanted or whole)}"
    )


def _matching(found: Sequence[Listed], pattern: str) -> list[Listed]:
    """By its name, by a pattern with `*`, or by a part of its name."""
    low = pattern.lower()
    for rule in (pattern.lower(), f"*{low}*"):
        matching = [
            each
            for each in found
            if fnmatch.fnmatchcase(each.name.lower(), rule)
            or fnmatch.fnmatchcase(PurePosixPath(each.name).name.lower(), rule)
        ]
        if matching:
            return matching
    return []


def _told(found: Sequence[Listed]) -> str:
    shown = sorted(found, key=lambda each: each.size)[:LISTED_MAX]
    width = max(len(each.name) for each in shown)
    lines = [f"  {each.name:{width}}  {each.size / 1e9:6.2f} GB" for each in shown]
    more = len(found) - len(shown)
    return "\n".join(lines) + (f"\n  and {more} more" if more else "")
