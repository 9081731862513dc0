"""Response headers: limits (`x-ratelimit-*`), waits, how durations are written (R20), and what
every answer says to browsers.
"""

from ipaddress import ip_address

from keyhall.policy.limits import WINDOW_US, Facts

_LINES = b"x-ratelimit-limit-@: %d\r\nx-ratelimit-remaining-@: %d\r\nx-ratelimit-reset-@: %b\r\n"
_REQUESTS = _LINES.replace(b"@", b"requests")
_TOKENS = _LINES.replace(b"@", b"tokens")
# What nearly every answer says: both limits, each window empty in a minute.
_BOTH = (_REQUESTS + _TOKENS).replace(b"%b", b"1m0s")

# For what is no page: nothing is loaded for it, and it stands in nobody's frame.
NO_PAGE = b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_ONLY_TLS = b"max-age=31536000; includeSubDomains"


def for_browsers(url: str) -> tuple[tuple[bytes, bytes], ...]:
    """What every answer of a hall at that address carries. A host that has a name and is reached
    over TLS is reached in no other way from then on; an address or this machine may be another
    program's tomorrow."""
    always = ((b"x-content-type-options", b"nosniff"),)
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if scheme != "https" or host.startswith("[") or not _is_name(host.partition(":")[0]):
        return always
    return (*always, (b"strict-transport-security", _ONLY_TLS))


def _is_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host not in ("", "localhost")
    return False


def reset_duration(us: int) -> str:
    """A duration as Go writes it, cut to milliseconds: `84ms`, `8.64s`, `7m12s`, `1h23m45s`.

    Cut, because that is what clients see at OpenAI; for a wait that must be long enough take
    `wait_duration`.
    """
    if us < 1_000_000:
        return f"{us // 1000}ms" if us >= 1000 else "0s"
    if us < 60_000_000:
        return _seconds(us)
    minutes, us = divmod(us, 60_000_000)
    if minutes < 60:
        return f"{minutes}m{_seconds(us)}"
    return f"{minutes // 60}h{minutes % 60}m{_seconds(us)}"


def _seconds(us: int) -> str:
    # `%g` drops trailing zeros; five digits are exact for less than a minute.
    return "%gs" % (us // 1000 / 1000)


def wait_duration(us: int) -> str:
    """The same, rounded up: who waits that long comes late enough (R2)."""
    return reset_duration(us + 999)


def ratelimit_headers(facts: Facts) -> bytes:
    """Ready header lines; a limit that does not exist is not shown."""
    if facts.reset_requests_us == facts.reset_tokens_us == WINDOW_US and (
        facts.limit_requests is not None
        and facts.limit_tokens is not None
        and not facts.is_degraded
    ):
        return _BOTH % (
            facts.limit_requests,
            facts.remaining_requests,
            facts.limit_tokens,
            facts.remaining_tokens,
        )
    lines = b"x-keyhall-limits: degraded\r\n" if facts.is_degraded else b""
    if facts.limit_requests is not None:
        lines += _REQUESTS % (
            facts.limit_requests,
            facts.remaining_requests,
            reset_duration(facts.reset_requests_us).encode(),
        )
    if facts.limit_tokens is not None:
        lines += _TOKENS % (
            facts.limit_tokens,
            facts.remaining_tokens,
            reset_duration(facts.reset_tokens_us).encode(),
        )
    return lines


def retry_headers(wait_us: int) -> tuple[tuple[bytes, bytes], ...]:
    """`retry-after` in whole seconds, at least one, and `retry-after-ms`; both rounded up, so that
    a retry is never too early."""
    seconds = max(1, -(-wait_us // 1_000_000))
    milliseconds = max(1, -(-wait_us // 1000))
    return ((b"retry-after", b"%d" % seconds), (b"retry-after-ms", b"%d" % milliseconds))


def truncated_line(messages: int, tokens: int) -> bytes:
    """What was left out of a conversation that was too long (R21)."""
    return b"x-keyhall-truncated: messages=%d; tokens=%d\r\n" % (messages, tokens)
