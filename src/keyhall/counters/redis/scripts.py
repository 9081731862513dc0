"""The scripts that run inside Redis, by the name of their file."""

import hashlib
from importlib import resources

from keyhall.counters.redis import resp


class Script:
    """A file beside this one. It is loaded at each connect and called by its digest."""

    def __init__(self, name: str) -> None:
        self.body = resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
        self.digest = hashlib.sha1(self.body, usedforsecurity=False).hexdigest()

    def head(self, keys: list[str], arguments: int) -> bytes:
        """The beginning of a call with so many arguments, which are to follow."""
        number = 3 + len(keys) + arguments
        return b"*%d\r\n%b" % (number, resp.arguments("EVALSHA", self.digest, len(keys), *keys))

    def call(self, keys: list[str], *arguments: bytes | str | int) -> bytes:
        return self.head(keys, len(arguments)) + resp.arguments(*arguments)


HOLD, SETTLE, PUSH, BEAT = (Script(name) for name in ("hold", "settle", "push", "beat"))
ALL = [HOLD.body, SETTLE.body, PUSH.body, BEAT.body]
