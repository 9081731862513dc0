"""What an audited act is called in a sentence: who did it stands before it, to what behind it."""

SAYS: dict[str, str] = {
    "account.change": "changed the profile of",
    "account.claim": "took this server over as",
    "account.create": "made the account of",
    "account.delete": "deleted the account of",
    "account.operator-off": "took the running of this server from",
    "account.operator-on": "gave the running of this server to",
    "account.password": "changed the password of",
    "account.recovery-codes": "made new recovery codes for",
    "account.reset": "chose a new password for",
    "account.reset-link": "made a link for a new password of",
    "account.resume": "let in again",
    "account.second-factor-off": "switched off the second factor of",
    "account.second-factor-on": "switched on the second factor of",
    "account.sign-in": "signed in as",
    "account.suspend": "suspended",
    "account.terms": "accepted the terms of use as",
    "account.verify": "confirmed the address of",
    "alias.fallback": "set the fallbacks of the alias",
    "alias.move": "moved the alias",
    "ask.decline": "declined higher limits for",
    "ask.grant": "granted higher limits to",
    "ask.write": "asked for higher limits for",
    "chain.anchor": "anchored the chain",
    "class.end": "ended a class of",
    "class.import": "imported a class into",
    "class.pause": "paused a class of",
    "class.resume": "resumed a class of",
    "content.erase": "erased what was kept of",
    "content.export": "took along what was kept of",
    "content.view": "looked at what was said in",
    "credit.add": "added credit to",
    "credit.take": "took credit back from",
    "engine.add": "added the engine",
    "engine.drain": "drained the engine",
    "engine.remove": "removed the engine",
    "engine.resume": "resumed the engine",
    "engine.test": "tested the engine",
    "filter.answer": "answered a report of the rule",
    "filter.remove": "removed a rule of",
    "filter.report": "reported as wrong the rule",
    "filter.switch": "switched a rule of",
    "filter.try": "tried rules on what is kept of",
    "filter.write": "wrote a rule of",
    "key.create": "created the key",
    "key.expire": "set the end of the key",
    "key.hand-over": "took over the key",
    "key.leaked": "reported as leaked the key",
    "key.limits": "changed the limits of the key",
    "key.pause": "paused the key",
    "key.rename": "renamed the key",
    "key.retention": "set how long is kept what is said by the key",
    "key.resume": "resumed the key",
    "key.revoke": "revoked the key",
    "key.rotate": "rotated into the key",
    "key.scopes": "changed what the key may do:",
    "key.unrotate": "undid the rotation into the key",
    "key.wandering": "saw many networks use the key",
    "member.invite": "invited somebody to",
    "member.join": "joined as",
    "member.remove": "removed the member",
    "member.role": "changed the role of",
    "member.withdraw": "withdrew an invitation to",
    "model.add": "added the model",
    "model.remove": "removed the model",
    "notice.close": "closed a notice about the key",
    "organization.activate_billing": "activated billing of",
    "organization.create": "made the organization",
    "organization.limits": "changed the limits of",
    "organization.retention": "bounded how long is kept what is said in",
    "organization.resume": "resumed the organization",
    "organization.suspend": "suspended the organization",
    "organization.zone": "changed the time zone of",
    "project.create": "created the project",
    "project.limits": "changed the limits of the project",
    "project.models": "chose the models of the project",
    "project.rename": "renamed the project",
    "project.review": "set which answers are reviewed in the project",
    "project.review-webhook": "set where decisions are told of the project",
    "project.retention": "set how long is kept what is said in the project",
    "quota.change": "changed the budget of",
    "quota.create": "created the budget of",
    "quota.remove": "removed the budget of",
    "review.decide": "decided the review",
    "review.expire": "ended, at its deadline, the review",
    "review.export": "exported reviewed answers of",
    "review.undo": "took back a decision of the review",
    "tier.declare": "declared the tier",
    "version.add": "added the version",
    "version.deprecate": "deprecated the version",
    "version.price": "priced the version",
    "version.retire": "retired the version",
}
# Said of those who did it to themselves, with nothing behind it.
ALONE = {
    "account.change": "changed their profile",
    "account.claim": "took this server over",
    "account.create": "made an account",
    "account.delete": "deleted their account",
    "account.password": "changed their password",
    "account.recovery-codes": "made new recovery codes",
    "account.reset": "chose a new password by a link",
    "account.second-factor-off": "switched off their second factor",
    "account.second-factor-on": "switched on their second factor",
    "account.sign-in": "signed in",
    "account.terms": "accepted the terms of use",
    "account.verify": "confirmed their address",
    "member.join": "joined",
    "member.remove": "left",
}


def says(action: str) -> str:
    """An act that is not in the table is told by its own name.

    >>> says("key.create"), says("door.paint")
    ('created the key', 'door: paint')
    """
    return SAYS.get(action) or action.replace(".", ": ", 1).replace("-", " ").replace("_", " ")


def says_alone(action: str, who: str, target: str) -> str:
    """What somebody did to themselves, as a whole sentence; empty if it is none of that.

    >>> says_alone("account.sign-in", "account:acct_1", "acct_1")
    'signed in'
    >>> says_alone("member.role", "account:acct_1", "org_1/acct_1")
    ''
    """
    did_it = who.removeprefix("account:") == target.rpartition("/")[2]
    return ALONE.get(action, "") if did_it else ""
