"""Reads server-sent events from an upstream: bytes as they come in, `data` payloads out.

After the HTML standard: lines end in LF, CRLF or CR, a blank line ends an event, its `data` lines
are joined by LF; comments and other fields are skipped, and so are events without data, which some
servers send to keep a connection alive. Where bytes are split makes no difference. Most reads hold
whole events of one `data: ` line each; those cost one split. Only data is kept, and no line and no
event may outgrow `event_bytes_max`.
"""

EVENT_BYTES_MAX = 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """A line or an event is larger than the bound."""


class Decoder:
    """Fed with what was read, gives the payloads of the events that ended in it."""

    __slots__ = ("_bytes_max", "_data", "_data_bytes", "_is_after_cr", "_is_first", "_line")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._bytes_max = event_bytes_max
        self._line = bytearray()  # a line that has not ended
        self._data: list[bytes] = []  # the data lines of an event that has not ended
        self._data_bytes = 0
        self._is_after_cr = False
        self._is_first = True  # no line has ended yet

    def feed(self, data: bytes) -> list[bytes]:
        """Raises EventTooLarge; nothing may be fed after that."""
        if self._is_after_cr or b"\r" in data:
            data = self._with_lf(data)
        payloads: list[bytes] = []
        if self._line or self._data or self._is_first:
            end = data.find(b"\n\n") + 2
            if end < 2:
                end = len(data)
            self._feed_lines(data[:end], payloads)
            data = data[end:]
        end = data.rfind(b"\n\n")
        if end > 0 and data[:6] == b"data: " and len(data) <= self._bytes_max:
            # Usual events stand in one line each, so no line feed is left between them.
            usual = data[6:end].split(b"\n\ndata: ")
            if b"\n" not in b"".join(usual) and all(usual):
                payloads += usual
                data = data[end + 2 :]
        if data:
            self._feed_lines(data, payloads)
        return payloads

    def _with_lf(self, data: bytes) -> bytes:
        """CRLF and CR as LF. A CR at the end counts at once; an LF that follows is its other
        half."""
        if self._is_after_cr and data[:1] == b"\n":
            data = data[1:]
            self._is_after_cr = False
        if data:
            self._is_after_cr = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _feed_lines(self, data: bytes, payloads: list[bytes]) -> None:
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        for line in lines:
            self._end_line(line, payloads)
        self._line += rest
        self._check(len(self._line))

    def _end_line(self, line: bytes, payloads: list[bytes]) -> None:
        self._check(len(line))
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            payload = b"\n".join(self._data)
            self._data.clear()
            self._data_bytes = 0
            if payload:
                payloads.append(payload)
        elif line[:5] == b"data:" or line == b"data":
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            # One for the LF, which also bounds how many empty ones are kept.
            self._data_bytes += len(value) + 1
            self._check(self._data_bytes - 1)

    def _check(self, count: int) -> None:
        if count > self._bytes_max:
            raise EventTooLarge(f"an event is larger than {self._bytes_max} bytes")
