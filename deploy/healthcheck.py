"""Ask the server in this container whether it answers: exit status 0 or 1. Needs no curl.

It asks `/healthz`, which looks at nothing but the process: a container is not to be restarted
because a database is away. Port and TLS are read from the environment, as the server reads them;
who sets them in a file sets `KEYHALL_SERVER_PORT` too. A certificate is not checked: it is for a
name, and this is the loopback address.
"""

import http.client
import os
import ssl

SECONDS = 4

port = int(os.environ.get("KEYHALL_SERVER_PORT") or 8484)
connection: http.client.HTTPConnection
if os.environ.get("KEYHALL_SERVER_TLS_CERT"):
    trusting = ssl._create_unverified_context()  # noqa: S323 - it is our own process
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=trusting)
else:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
try:
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
except (OSError, http.client.HTTPException) as error:
    raise SystemExit(f"no answer on port {port}: {error}") from None
raise SystemExit(0 if status == 200 else f"/healthz answered {status}")
