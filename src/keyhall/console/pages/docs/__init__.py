"""The documentation inside the console: guides, search, the API's reference."""

from keyhall.console.gate import Page
from keyhall.console.pages.docs import reference, show

ROUTES: tuple[Page, ...] = (*reference.ROUTES, *show.ROUTES)  # `/docs/api` before `/docs/{name}`
