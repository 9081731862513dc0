"""What the flow of reports needs of the world: built once, beside the hall."""

from dataclasses import dataclass

from keyhall.clock import Clock
from keyhall.config.leaks import Leaks as Settings
from keyhall.config.leaks import Wander
from keyhall.engines.upstream.address import AddressRefused
from keyhall.flows.leaks.github import GithubKeys
from keyhall.flows.leaks.slowing import Slowing
from keyhall.flows.leaks.watch import Watch
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.leaks.wander import Rule
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Leaks:
    store: SqlStore
    github: GithubKeys
    slowing: Slowing
    with_test: bool  # test keys are revoked too


def leaks_of(settings: Settings, store: SqlStore, clock: Clock) -> Leaks | None:
    """None where no reports are taken. Raises Invalid for an address never called."""
    if not settings.enabled:
        return None
    try:
        github = GithubKeys(settings.github_keys_file, settings.github_keys_url, clock)
    except AddressRefused as error:
        raise Invalid(f"[leaks] github_keys_url: {error}.") from None
    return Leaks(store, github, Slowing(settings), settings.test_keys)


def watch_of(settings: Wander, pepper: bytes) -> Watch | None:
    """None where nobody is told of keys that wander."""
    if not settings.networks_per_hour:
        return None
    return Watch(Rule(settings.networks_per_hour, settings.times_usual), pepper)
