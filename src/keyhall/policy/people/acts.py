"""What an audited act is called in a sentence: who did it stands before it, to what behind it."""

SAYS: dict[str, str] = {
    "account.claim": "took the hall over as",
    "account.create": "made the account",
    "account.sign-in": "signed in as",
    "alias.fallback": "set the fallbacks of the alias",
    "alias.move": "moved the alias",
    "ask.decline": "declined higher limits for",
    "ask.grant": "granted higher limits to",
    "chain.anchor": "anchored the chain",
    "credit.add": "added credit to",
    "credit.take": "took credit back from",
    "engine.add": "added the engine",
    "engine.drain": "drained the engine",
    "engine.remove": "removed the engine",
    "engine.resume": "resumed the engine",
    "engine.test": "tested the engine",
    "key.create": "created the key",
    "key.expire": "set the end of the key",
    "key.limits": "changed the limits of the key",
    "key.pause": "paused the key",
    "key.rename": "renamed the key",
    "key.resume": "resumed the key",
    "key.revoke": "revoked the key",
    "key.rotate": "rotated into the key",
    "key.scopes": "changed what the key may do:",
    "member.join": "joined as",
    "organization.activate_billing": "activated billing of",
    "organization.create": "made the organization",
    "organization.limits": "changed the limits of",
    "organization.resume": "resumed the organization",
    "organization.suspend": "suspended the organization",
    "organization.zone": "changed the time zone of",
    "project.create": "created the project",
    "project.limits": "changed the limits of the project",
    "project.models": "chose the models of the project",
    "project.rename": "renamed the project",
    "quota.change": "changed the budget of",
    "quota.create": "made the budget of",
    "quota.remove": "removed the budget of",
    "tier.declare": "declared the tier",
    "version.add": "added the version",
    "version.deprecate": "deprecated the version",
    "version.price": "priced the version",
    "version.retire": "retired the version",
}


def says(action: str) -> str:
    """An act that is not in the table is told by its own name.

    >>> says("key.create"), says("door.paint")
    ('created the key', 'door: paint')
    """
    return SAYS.get(action) or action.replace(".", ": ", 1).replace("-", " ").replace("_", " ")
