"""The pages that stand in the menu, for whom, and the letter behind `g` that opens each."""

from dataclasses import dataclass

from keyhall.policy.people.roles import Permission
from keyhall.ports.people import Person


@dataclass(frozen=True, slots=True)
class Entry:
    path: str
    name: str
    icon: str  # of templates/icons.html
    needs: Permission | None = None  # None: everybody who is signed in
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    entry: Entry
    is_here: bool


MENU: dict[str, tuple[Entry, ...]] = {
    "Build": (
        Entry("/", "Home", "home", None, "h"),
        Entry("/keys", "Keys", "key", "keys.read", "k"),
        Entry("/usage", "Usage", "chart", "usage.read", "u"),
        Entry("/limits", "Limits", "gauge", "home", "l"),
        Entry("/requests", "Requests", "list", "usage.read", "r"),
        Entry("/playground", "Playground", "chat", "playground", "p"),
        Entry("/docs", "Docs", "book", None, "d"),
    ),
    "Organization": (
        Entry("/people", "People", "people", "people.read", "e"),
        Entry("/reviews", "Review", "check", "review", "v"),
        Entry("/projects", "Projects", "folder", "everything", "j"),
        Entry("/spending", "Budgets", "coins", "spending.read", "b"),
        Entry("/audit", "Audit", "eye", "audit.read", "a"),
    ),
    "Operate": (
        Entry("/organizations", "Organizations", "building", "operate", "o"),
        Entry("/tiers", "Tiers", "layers", "operate", "t"),
        Entry("/models", "Models", "cube", "operate", "m"),
        Entry("/engines", "Engines", "engine", "operate", "n"),
        Entry("/filter", "Filter", "filter", "operate", "f"),
        Entry("/settings", "Settings", "sliders", "operate", "s"),
    ),
}


def menu_of(who: Person | None, path: str) -> dict[str, list[Shown]]:
    """What somebody sees, by section; `is_here` marks the page they are on."""
    if who is None:
        return {}
    seen: dict[str, list[Shown]] = {}
    for section, entries in MENU.items():
        allowed = [each for each in entries if each.needs is None or who.may(each.needs)]
        if allowed:
            seen[section] = [Shown(each, _is_here(each.path, path)) for each in allowed]
    return seen


def _is_here(entry: str, path: str) -> bool:
    return path == entry or (entry != "/" and path.startswith(f"{entry}/"))
