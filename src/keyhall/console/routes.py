"""Every page there is: the only table of the console's addresses."""

from keyhall.console.gate import Page
from keyhall.console.pages import entrance, home

ROUTES: tuple[Page, ...] = (*entrance.ROUTES, *home.ROUTES)
