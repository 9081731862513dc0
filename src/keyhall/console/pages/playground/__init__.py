"""The playground's page, and what its script asks for: a key, a count, a refusal explained."""

from keyhall.console.gate import Page
from keyhall.console.pages.playground import answers, page

ROUTES: tuple[Page, ...] = (*page.ROUTES, *answers.ROUTES)
