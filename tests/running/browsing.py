"""A browser without a window: cookies, forms with their tokens, and pages as values.

It does what a person does with JavaScript switched off: it follows links, fills in the form that
stands on the page, and reads what comes.
"""

import html
import re
from functools import cached_property
from typing import Any

import httpx2
from bs4 import BeautifulSoup
from patience import PATIENCE_SECONDS

PASSWORD = "correct horse battery"
CSRF = re.compile(r'<input type="hidden" name="csrf" value="([^"]*)"')


class Browser:
    """One person's browser, at a server that runs in the same event loop."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self.origin = url  # where its pages say that they are from
        self.client = httpx2.AsyncClient(
            base_url=url,
            headers={"accept": "text/html", "user-agent": "Browser of the tests", **headers},
            follow_redirects=False,
            timeout=PATIENCE_SECONDS,
            verify=False,  # Nothing here is TLS, and reading the system's certificates takes long.
        )
        self.response: httpx2.Response | None = None
        self._html = ""

    async def close(self) -> None:
        await self.client.aclose()

    async def visit(self, path: str, **headers: str) -> int:
        """Open a page, by way of redirects; its status."""
        for _ in range(5):
            self._take(await self.client.get(path, headers=headers))
            if not self.response.is_redirect:
                break
            path = self.response.headers["location"]
        return self.response.status_code

    async def send(self, path: str, follow: bool = True, **fields: Any) -> int:
        """Submit a form to that address, with the token of the page that is open."""
        token = CSRF.search(self._html)
        given = {"csrf": html.unescape(token[1])} if token else {}
        headers = {"origin": self.origin, "sec-fetch-site": "same-origin"}
        answer = await self.client.post(path, data={**given, **fields}, headers=headers)
        self._take(answer)
        if follow and answer.is_redirect:
            return await self.visit(answer.headers["location"])
        return answer.status_code

    def _take(self, answer: httpx2.Response) -> None:
        self.response = answer
        if "html" in answer.headers.get("content-type", ""):
            self._html = answer.text
            self.__dict__.pop("page", None)

    @cached_property
    def page(self) -> BeautifulSoup:
        """What is open. It is read when somebody looks: that takes longer than making it."""
        return BeautifulSoup(self._html, "html.parser")

    @property
    def text(self) -> str:
        """What a reader sees, in one line."""
        return " ".join(self.page.get_text(" ").split())

    @property
    def title(self) -> str:
        found = self.page.find("h1")
        return found.get_text(strip=True) if found else ""

    def links(self) -> list[str]:
        return [link["href"] for link in self.page.find_all("a", href=True)]
