"""From how many networks each key is used, in this process and hour.

A request costs one comparison: whether its address is the one that its key was used from last. Only
another one is looked at. Of a key that is used from one network nothing is made; of others a sketch
of hashes, and of the first few networks their text, for evidence. With the hour all of it goes.
"""

from dataclasses import dataclass, field

from keyhall.flows.callers import Caller
from keyhall.policy.leaks.sketch import Sketch
from keyhall.policy.leaks.wander import HOUR_US, Network, Rule, day_key, network_of

KEYS_MAX = 50_000
ADDRESSES_MAX = 10_000
EXAMPLES_MAX = 10


@dataclass(slots=True)
class Places:
    """Of one key in one hour. `examples` are texts of networks."""

    first_us: int
    last_us: int
    sketch: Sketch = field(default_factory=Sketch)
    examples: dict[str, None] = field(default_factory=dict)
    is_changed: bool = True

    def add(self, network: Network, now_us: int) -> None:
        self.last_us = now_us
        if self.sketch.add(network.hashed):
            self.is_changed = True
            if len(self.examples) < EXAMPLES_MAX:
                self.examples[network.text] = None


@dataclass(frozen=True, slots=True)
class _First:
    network: Network
    at_us: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one process saw of a key in an hour, since its last report or before."""

    key_id: str
    hour_us: int
    places: Places


class Watch:
    """One per process; None in the hall where wander.networks_per_hour is 0."""

    def __init__(self, rule: Rule, pepper: bytes) -> None:
        self.rule = rule
        self._pepper = pepper
        self._day_key = b""
        self.hour_us = 0
        self._keys: dict[str, _First | Places] = {}
        self._late: list[Report] = []  # of the hour before, not reported when it ended
        self._networks: dict[str, Network | None] = {}  # by address

    def seen(self, caller: Caller, address: str, now_us: int) -> None:
        """A key was used from another address than the time before, or for the first time in this
        hour (`Callers.forget_places`)."""
        caller.place = address
        if now_us - self.hour_us >= HOUR_US:
            self.turn(now_us)
        network = self._network_of(address)
        if network is None:
            return
        key_id = caller.grant.key_id
        known = self._keys.get(key_id)
        if known is None:
            if len(self._keys) < KEYS_MAX:
                self._keys[key_id] = _First(network, now_us)
        elif known.__class__ is Places:
            known.add(network, now_us)
        elif isinstance(known, _First) and known.network.hashed != network.hashed:
            places = self._keys[key_id] = Places(known.at_us, now_us)
            places.add(known.network, now_us)
            places.add(network, now_us)

    def _network_of(self, address: str) -> Network | None:
        try:
            return self._networks[address]
        except KeyError:
            if len(self._networks) >= ADDRESSES_MAX:
                self._networks.clear()
            network = self._networks[address] = network_of(address, self._day_key)
            return network

    def turn(self, now_us: int) -> None:
        """Another hour begins."""
        self._late = self._changed()
        self.hour_us = now_us - now_us % HOUR_US
        self._day_key = day_key(self._pepper, now_us)
        self._keys.clear()
        self._networks.clear()

    def _changed(self) -> list[Report]:
        return [
            Report(key_id, self.hour_us, known)
            for key_id, known in self._keys.items()
            if isinstance(known, Places) and known.is_changed
        ]

    def reports(self, most: int) -> list[Report]:
        """What has changed since it was reported, at most so much of it. Whoever takes it sets
        `is_changed` to False once it is kept."""
        late = [each for each in self._late if each.places.is_changed]
        self._late = late
        return (late + self._changed())[:most]
