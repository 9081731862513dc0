"""What a page gets: the parts of the hall that it may use, and the request as one value, `Ask`.

A page is a coroutine from an `Ask` to a response. It reads through flows and stores with the
person's `sight`, acts through flows with `ask.by`, and lets their refusals through: the gate makes
a sentence of them.
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypedDict
from urllib.parse import quote

import msgspec
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from keyhall.clock import Clock
from keyhall.config import Config
from keyhall.flows.accounts.desk import Desk, From
from keyhall.flows.hall import Hall
from keyhall.flows.observe.closed import Closed
from keyhall.policy.tiers import Tier
from keyhall.ports.people import Person
from keyhall.ports.records import Actor
from keyhall.stores.sql import SqlStore

SESSION, FLASH, THEME = "keyhall", "keyhall-said", "keyhall-theme"  # our cookies
FLASH_SECONDS = 30


class By(TypedDict):
    """Who acts, and when: every act of `flows.manage` takes these."""

    actor: Actor
    now_us: int


@dataclass(frozen=True, slots=True)
class Console:
    """Built once, in app.py."""

    hall: Hall
    store: SqlStore
    desk: Desk
    config: Config
    peppers: tuple[bytes, ...]
    tiers: Callable[[], Mapping[str, Tier]]  # as they are now
    closed: Closed
    is_stopping: Callable[[], bool] = lambda: False  # what runs on by itself ends then
    streams: dict[str, int] = field(default_factory=dict)  # open ones, by account

    @property
    def url(self) -> str:
        return self.hall.url.rstrip("/")

    @property
    def is_secure(self) -> bool:
        """Cookies may only travel over TLS."""
        return self.url.startswith("https://")

    def cookie(self, name: str) -> str:
        """What a cookie of ours is called: `__Host-` binds it to this very host, and needs TLS."""
        return f"__Host-{name}" if self.is_secure else name


@dataclass(slots=True)
class Ask:
    """One request for a page. `who` is None for whoever is not signed in."""

    request: Request
    console: Console
    who: Person | None
    sits: From
    form: FormData = field(default_factory=FormData)
    render: Callable[["Ask", str, Mapping[str, Any]], str] = lambda ask, name, facts: ""

    # --- What was asked -------------------------------------------------------------------------

    @property
    def person(self) -> Person:
        """Who is signed in; the gate has seen to it that somebody is."""
        assert self.who is not None
        return self.who

    @property
    def store(self) -> SqlStore:
        return self.console.store

    @property
    def now_us(self) -> int:
        return self.console.hall.clock.now_us()

    @property
    def clock(self) -> Clock:
        return self.console.hall.clock

    @property
    def by(self) -> By:
        return By(actor=self.sits.actor(self.person.account.id), now_us=self.now_us)

    @property
    def is_partial(self) -> bool:
        """htmx asks for a part of the page."""
        return self.request.headers.get("hx-request") == "true"

    def path(self, name: str) -> str:
        """A part of the path, as the route names it."""
        found: str = self.request.path_params[name]
        return found

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def text(self, name: str) -> str:
        """A field of the form; empty if it was not sent."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        return [each for each in self.form.getlist(name) if isinstance(each, str)]

    # --- What is answered -----------------------------------------------------------------------

    def page(self, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        return HTMLResponse(self.render(self, template, facts), status)

    def go(self, path: str, said: str = "", *, kind: str = "success") -> Response:
        """To another page of ours, which says in a toast what was done."""
        assert path.startswith("/"), "only to pages of ours"
        assert not path.startswith("//"), "nor by way of them to others"
        response = RedirectResponse(quote(path, safe="/?=&%#"), 303)
        if said:
            note = base64.urlsafe_b64encode(msgspec.json.encode([kind, said])).decode()
            self.keep(response, FLASH, note, FLASH_SECONDS)
        return response

    def said(self) -> tuple[str, str] | None:
        """Kind and words of what the page before left to say."""
        text = self.cookie(FLASH)
        if not text:
            return None
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(text), type=tuple[str, str])
        except (ValueError, msgspec.MsgspecError):
            return None

    # --- Cookies --------------------------------------------------------------------------------

    def cookie(self, name: str) -> str | None:
        return self.request.cookies.get(self.console.cookie(name))

    def keep(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            self.console.cookie(name),
            value,
            max_age=seconds,
            path="/",
            secure=self.console.is_secure,
            httponly=True,
            samesite="lax",
        )

    def forget(self, response: Response, name: str) -> None:
        self.keep(response, name, "", 0)

    # --- Sessions -------------------------------------------------------------------------------

    def let_in(self, response: Response, cookie: str, seconds: int) -> Response:
        """Give the browser its session."""
        self.keep(response, SESSION, cookie, seconds)
        return response

    def let_out(self, response: Response) -> Response:
        self.forget(response, SESSION)
        response.headers["clear-site-data"] = '"cache"'  # Pages that "back" would show again.
        return response

    @property
    def csrf(self) -> str:
        """What every form of this session carries: it says which organization its page was of."""
        if self.who is None:
            return ""
        return csrf_of(self.console, self.who.session.id, self.who.organization_id)


def csrf_of(console: Console, session_id: str, organization_id: str) -> str:
    text = f"csrf:{session_id}:{organization_id}".encode()
    return f"{organization_id}.{hmac.new(console.peppers[0], text, sha256).hexdigest()[:32]}"
