"""Letters to people: links that open one door once.

A letter that cannot be delivered is a line in the log, and an answer only where somebody waits for
it. Whether one is sent at all is told to nobody who only knows an address.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from keyhall.flows.accounts import tokens
from keyhall.flows.accounts.desk import Desk
from keyhall.flows.alerts.message import Untold
from keyhall.policy.secrets import Secret

ON_THE_WAY_MAX = 100  # What comes beyond it is not sent: a mail server that hangs holds each 20 s.

_log = logging.getLogger("keyhall")


async def send(desk: Desk, receiver: str, subject: str, text: str) -> str | None:
    """Deliver a letter now. What went wrong, in a few words for people; None if nothing did."""
    if desk.mail is None:
        return "no mail server is configured"
    letter_id = tokens.new_id("letter")
    try:
        await desk.mail.post([receiver], subject, text, letter_id, desk.clock.now_us())
    except Untold as error:
        _log.error("letter_not_sent", {"letter": letter_id, "reason": str(error)})
        return str(error)
    return None


def later(desk: Desk, work: Coroutine[Any, Any, None]) -> None:
    """Do it without letting anybody wait, so that nobody learns from how long it takes."""
    if len(desk.on_the_way) >= ON_THE_WAY_MAX:
        work.close()
        _log.error("letter_not_sent", {"reason": f"{ON_THE_WAY_MAX} others are on the way"})
        return
    task = asyncio.get_running_loop().create_task(work, name="letter")
    desk.on_the_way.add(task)
    task.add_done_callback(lambda done: _ended(desk, done))


def _ended(desk: Desk, task: asyncio.Task[None]) -> None:
    desk.on_the_way.discard(task)
    if not task.cancelled() and task.exception() is not None:
        _log.error("letter_not_sent", exc_info=task.exception())


def reset_text(link: Secret) -> str:
    return (
        "Somebody asked for a new password for your account. Choose one here, within 30 minutes:\n"
        f"\n{link.reveal()}\n\n"
        "It works once and ends all sessions. If it was not you, nothing has changed: throw this "
        "letter away.\n"
    )


def verify_text(link: Secret) -> str:
    return (
        "Open this link, within a day, to confirm that this address is yours:\n"
        f"\n{link.reveal()}\n\n"
        "If you did not ask for it, throw this letter away.\n"
    )


def invitation_text(organization: str, link: Secret) -> str:
    return (
        f"You are invited to {organization}. Follow this link within 14 days:\n"
        f"\n{link.reveal()}\n\n"
        "It works once.\n"
    )


def moved_text(email: str) -> str:
    return (
        f"Your account's address was changed to {email}. If it was not you, tell whoever runs "
        "this server.\n"
    )
