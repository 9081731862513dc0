"""The certificate and its key, looked at before they are used: readable, a pair, not over.

Python's own library shows a certificate's dates only of one that it was shown by a peer; so the
pair is tried in a handshake with itself, in memory.
"""

import ssl
from pathlib import Path

from keyhall.config import Server

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME
_STEPS_MAX = 10


class Unusable(Exception):
    """A sentence that says what is wrong with the files."""


def read(server: Server) -> float | None:
    """When the certificate ends, in seconds since 1970; None without TLS. Raises Unusable."""
    if not server.tls_cert:
        return None
    for path in (server.tls_cert, server.tls_key):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise Unusable(f"{path} cannot be read: {error.strerror}.") from None
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        inside.load_cert_chain(server.tls_cert, server.tls_key, password=_refuse)
    except _Encrypted:
        raise Unusable(
            f"{server.tls_key} is encrypted: Keyhall asks for no passphrase. Give it the plain "
            "key, readable by nobody else (openssl pkey -in KEY -out PLAIN)."
        ) from None
    except ssl.SSLError as error:
        reason = (error.reason or "").replace("_", " ").lower()
        raise Unusable(
            f"{server.tls_cert} and {server.tls_key} are no certificate with its key in PEM form"
            + (f" ({reason})." if reason else ".")
        ) from None
    return _end_of(inside, server.tls_cert)


class _Encrypted(Exception):
    pass


def _refuse() -> str:
    raise _Encrypted


def _end_of(inside: ssl.SSLContext, path: str) -> float | None:
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outside.check_hostname = False
    outside.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    to_inside, to_outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = inside.wrap_bio(to_inside, to_outside, server_side=True)
    client = outside.wrap_bio(to_outside, to_inside)
    try:
        outside.load_verify_locations(path)
        for _ in range(_STEPS_MAX):
            if all([_step(client), _step(server)]):
                break
        shown = client.getpeercert()
    except (ssl.SSLError, ValueError):
        return None  # Unusual, such as a chain of its own making: clients will judge it.
    until = shown.get("notAfter") if shown else None
    return ssl.cert_time_to_seconds(until) if isinstance(until, str) else None


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
