"""Reports of leaked keys, as anybody sends them, and what a server keeps of them."""

from keyhall.stores import notes
from keyhall.stores.leaks.tables import notices

LEAKS = "/v1/keyhall/leaks"


class Reporting:
    """A server, and who reports to it."""

    def __init__(self, inside):
        self.inside = inside
        self.store = inside.house.store

    async def report(self, body, headers="", line=None):
        line = line or await self.inside.line()
        return await line.ask(None, body, LEAKS, headers=headers)

    async def audit(self, action):
        async with self.store.reading() as connection:
            return await notes.audit_rows(connection, action=action)

    async def notices(self):
        async with self.store.reading() as connection:
            return [dict(row) for row in (await connection.execute(notices.select())).mappings()]
