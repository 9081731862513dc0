"""What the playground's script does, without a browser."""

from typing import Any

import httpx2
from browsing import Browser


async def console(browser: Browser, path: str, **fields: Any) -> httpx2.Response:
    """Ask as the script of an open playground does: with the page's token in a header."""
    await browser.visit("/playground")
    token = browser.page.find("meta", {"name": "csrf"})["content"]
    headers = {"origin": browser.url, "sec-fetch-site": "same-origin", "x-csrf": token}
    return await browser.client.post(path, data=fields, headers=headers)


async def make(browser: Browser, mode: str = "live", project: str = "") -> httpx2.Response:
    return await console(browser, "/playground/key", mode=mode, project=project)
