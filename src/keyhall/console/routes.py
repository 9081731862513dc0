"""Every page there is: the only table of the console's addresses."""

from keyhall.console.gate import Page
from keyhall.console.pages import docs, entrance, home, palette, playground
from keyhall.console.pages.account import data, doors, factor, profile
from keyhall.console.pages.filter import acts as filter_acts
from keyhall.console.pages.filter import shown as filter_shown
from keyhall.console.pages.filter import tried as filter_tried
from keyhall.console.pages.filter import writing as filter_writing
from keyhall.console.pages.keys import listing, making, notices, rotating, showing
from keyhall.console.pages.limits import first_run, front, limits
from keyhall.console.pages.operate import (
    aliases,
    asks,
    engines,
    models,
    organizations,
    settings,
    tiers,
)
from keyhall.console.pages.organization import audit, projects, spending, statements
from keyhall.console.pages.people import class_list, members
from keyhall.console.pages.review import item, queue, rules, work
from keyhall.console.pages.usage import content, requests, usage

ROUTES: tuple[Page, ...] = (
    *entrance.ROUTES,
    *home.ROUTES,
    *palette.ROUTES,
    *playground.ROUTES,
    *docs.ROUTES,
    *usage.ROUTES,
    *requests.ROUTES,
    *content.ROUTES,
    *projects.ROUTES,
    *spending.ROUTES,
    *statements.ROUTES,
    *audit.ROUTES,
    *asks.ROUTES,  # Before the organizations: `asks` is none of them.
    *organizations.ROUTES,
    *tiers.ROUTES,
    *models.ROUTES,
    *aliases.ROUTES,
    *engines.ROUTES,
    *filter_shown.ROUTES,
    *filter_acts.ROUTES,
    *filter_tried.ROUTES,
    *filter_writing.ROUTES,
    *settings.ROUTES,
    *front.ROUTES,
    *listing.ROUTES,
    *making.ROUTES,
    *showing.ROUTES,
    *rotating.ROUTES,
    *notices.ROUTES,
    *limits.ROUTES,
    *first_run.ROUTES,
    *doors.ROUTES,
    *profile.ROUTES,
    *factor.ROUTES,
    *data.ROUTES,
    *class_list.ROUTES,
    *members.ROUTES,
    *queue.ROUTES,
    *work.ROUTES,
    *rules.ROUTES,
    *item.ROUTES,  # Behind those whose last part is a word of ours.
)
