"""Everything that is not the lane, joined: the endpoints for programs, and the console behind them.

The console is imported when its first page is asked for: a start waits for none of it.
"""

import functools
import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from keyhall.api.app import refused, web
from keyhall.app import House
from keyhall.config import Config
from keyhall.flows.accounts.desk import Desk, Post, SignUp
from keyhall.flows.observe.closed import Closed
from keyhall.policy.secrets import Secret


def application(house: House, config: Config) -> ASGIApp:
    """The ASGI application beside the lane."""
    if not config.console.enabled:
        return web(house.hall, house.health)

    @functools.cache
    def pages() -> ASGIApp:
        from keyhall.console import app as console
        from keyhall.console.context import Console

        context = Console(
            hall=house.hall,
            store=house.store,
            desk=desk_of(house, config),
            config=config,
            peppers=house.peppers,
            tiers=house.hall.callers.tiers,
            is_stopping=lambda: house.health.is_stopping,
            closed=Closed(house.hall.clock),
        )
        return console.pages(context, refused)

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        await pages()({**scope}, receive, send)  # It puts itself into its scope.

    return web(house.hall, house.health, behind)


def desk_of(house: House, config: Config) -> Desk:
    settings = config.console
    return Desk(
        store=house.store,
        clock=house.hall.clock,
        pepper=house.peppers[0],
        url=house.hall.url,
        sign_up=sign_up_of(config),
        domains=tuple(each.lower().lstrip("@") for each in settings.domains),
        terms_url=settings.terms_url,
        terms_version=settings.terms_version,
        old_peppers=house.peppers[1:],
        mail=mail_of(config),
    )


def mail_of(config: Config) -> Post | None:
    """What carries letters; None where no mail server is configured, or one that is never
    called."""
    settings = config.alerts
    if not (settings.smtp_url and settings.email_from):
        return None
    from keyhall.engines.upstream.address import AddressRefused
    from keyhall.flows.alerts.mail import Mail

    try:
        return Mail(Secret(settings.smtp_url), settings.email_from)
    except AddressRefused as error:
        logging.getLogger("keyhall").error("no_letters", {"smtp_url": str(error)})
        return None


def sign_up_of(config: Config) -> SignUp:
    """`auto`: everybody, if only this machine can ask; else by invitation."""
    wanted = config.console.sign_up
    if wanted != "auto":
        return wanted
    return "open" if config.is_for_this_machine else "invite"
