"""POST /v1/chat/completions: the way of a request, on one page.

Everything that can refuse refuses before the first byte. Everything after the hold ends in exactly
one settle (`tab.settle`), whatever happens. Output is journaled before it is sent.
"""

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit, spend
from keyhall.flows.authenticate import authenticate, authenticate_again
from keyhall.flows.callers import Caller
from keyhall.flows.filters import moderated
from keyhall.flows.filters.begin import begin
from keyhall.flows.filters.moderated import Moderated
from keyhall.flows.filters.screen import Screen
from keyhall.flows.hall import Hall
from keyhall.flows.outages import fallbacks
from keyhall.flows.review.holding import Watch
from keyhall.flows.tab import Tab
from keyhall.policy.catalogue import ENGINE_COUNTS
from keyhall.policy.metering import Outcome
from keyhall.ports.engine import Answer
from keyhall.ports.exchange import ClientLeft, Exchange, KeyRevoked, Stalled, Stopped
from keyhall.wire import chat_read, chat_stream, chat_write
from keyhall.wire.chat import ChatRequest, Completion

ENGINE_FAILED = Outcome.ENGINE_FAILED
ENDS = (
    (ClientLeft, Outcome.CLIENT_LEFT),
    (Stalled, Outcome.STALLED),
    (Stopped, Outcome.STOPPED),
    (KeyRevoked, Outcome.KEY_REVOKED),
)


async def complete(exchange: Exchange, hall: Hall) -> None:
    if exchange.hop is not None and exchange.hop == hall.hop:
        raise ApiError(errors.REQUEST_LOOP)
    caller = await authenticate(exchange, hall, "chat")
    admit.require_json(exchange)
    request = chat_read.read(exchange.whole_body or await _late_body(caller, exchange, hall))
    version = admit.choose_version(request.model, caller, exchange, hall)
    screen: Screen | Moderated | None = None
    if request.moderation is not None:
        screen = await moderated.begin(request, caller, exchange, version, hall)
    elif caller.filter is not None:
        screen = await begin(request, caller, exchange, version, hall)
    engine = hall.engines.get(version.engine)
    if engine is None or hall.breakers or version.tokenizer == ENGINE_COUNTS:
        version, engine, fit = await fallbacks.choose(request, version, caller, hall)
    else:
        fit = await admit.fit(request, version, caller, hall)
    await hall.turn.hold
    if caller.until_us <= exchange.started_us:  # It changed while the input was counted.
        await authenticate_again(caller, exchange, hall, "chat", request.model)
    watch = None if caller.review is None else Watch(exchange, caller, request, hall)
    holding = spend.hold if caller.quotas else admit.hold
    hold, quota_hold = await holding(exchange, caller, version, fit, hall)
    tab = Tab.open(
        exchange, hall, caller, version, engine, fit, hold, quota_hold, bool(request.stream)
    )
    out = exchange
    try:
        if watch is not None:
            out, request = watch.begin(tab)
        await hall.turn.start
        answer = tab.start(request)
        try:
            if request.stream:
                await _stream(out, tab, answer, request, screen)
            else:
                await _whole(out, hall, tab, answer, request, screen)
        except ApiError as failure:
            await _instead(failure, out, hall, caller, tab, request, screen)
        if watch is not None:
            watch.answered(tab, screen)
        await hall.turn.settle
        tab.settle(Outcome.ANSWERED)
    except BaseException as end:
        _ended(end, exchange, hall, caller, tab)
        raise
    if watch is not None:
        await watch.end(tab)


async def _late_body(caller: Caller, exchange: Exchange, hall: Hall) -> bytes:
    """The body may be hours in coming: the key must be good at its end too."""
    body = await exchange.body()
    await authenticate_again(caller, exchange, hall, "chat", None)
    return body


def _ended(end: BaseException, exchange: Exchange, hall: Hall, caller: Caller, tab: Tab) -> None:
    """It was admitted and did not come to its end: settle it, and raise what the client is told
    instead, if anybody is there to be told. Its limits are told all the same."""
    if isinstance(end, ClientLeft) and tab.drains:
        hall.drains.begin(tab, hall, exchange.request_id)  # Its version says so.
        return
    tab.settle(next((outcome for kind, outcome in ENDS if isinstance(end, kind)), ENGINE_FAILED))
    if isinstance(end, ClientLeft | Stalled):
        return
    exchange.known_lines = tab.headers()
    if isinstance(end, Stopped):
        raise ApiError(errors.SHUTTING_DOWN, headers=((b"retry-after", b"1"),)) from None
    if isinstance(end, KeyRevoked):
        raise admit.revoked(caller, exchange, hall) from None


async def _instead(
    failure: ApiError,
    exchange: Exchange,
    hall: Hall,
    caller: Caller,
    tab: Tab,
    request: ChatRequest,
    screen: Screen | Moderated | None,
) -> None:
    """The engine failed: let those answer that the alias falls back to. Raises the failure if its
    answer had begun, or nobody else can."""
    attempts = fallbacks.Attempts(request, tab, caller, hall)
    latest: ApiError | None = failure
    while latest is not None:
        if not attempts.failed(latest) or exchange.has_started:
            raise failure
        tab.gave_up()  # Whoever leaves from here on leaves no engine's answer.
        if not await attempts.next():
            raise failure
        answer = tab.start(request)
        latest = None
        try:
            if request.stream:
                await _stream(exchange, tab, answer, request, screen)
            else:
                await _whole(exchange, hall, tab, answer, request, screen)
        except ApiError as error:
            latest = error.with_traceback(None)  # Its frames are ours: let neither keep the other.


async def _whole(
    exchange: Exchange,
    hall: Hall,
    tab: Tab,
    answer: Answer,
    request: ChatRequest,
    screen: Screen | Moderated | None,
) -> None:
    completion = await answer.whole()
    chat_write.normalize_completion(completion, request.choices)
    tab.saw_completion(completion)
    usage = completion.usage = tab.usage()
    completion.id = tab.completion_id
    completion.created = exchange.started_us // 1_000_000
    completion.model = tab.version.name
    completion.system_fingerprint = tab.version.fingerprint
    completion.service_tier = "default"
    headers = tab.headers()
    if screen is not None:
        headers += await screen.answer(completion)
        completion = screen.told(completion)
    if request.logprobs:
        pieces = await _in_pieces(completion, hall)
        tab.produced(usage.completion_tokens)
        exchange.reply_in_pieces(headers, pieces)
        return
    body = chat_write.encode_completion(completion)
    tab.produced(usage.completion_tokens)  # All of it is about to be sent at once.
    exchange.reply(200, headers, body)


async def _in_pieces(completion: Completion, hall: Hall) -> list[bytes]:
    """The body of an answer that may be tens of megabytes: others have their turns meanwhile."""
    pieces: list[bytes] = []
    for piece in chat_write.encode_in_pieces(completion):
        pieces.append(piece)
        if len(piece) > chat_write.PIECE_BYTES_MIN:
            await hall.turn.long_work
    return pieces


async def _stream(
    exchange: Exchange,
    tab: Tab,
    answer: Answer,
    request: ChatRequest,
    screen: Screen | Moderated | None,
) -> None:
    headers = tab.headers()
    if screen is not None:
        headers += screen.lines()
        screen = screen.of_answer()
    exchange.begin_stream(headers)
    shape = tab.shaper = chat_stream.Shaper(request.choices)
    stamp = chat_write.Stamp(
        id=tab.completion_id,
        created=exchange.started_us // 1_000_000,
        model=tab.version.name,
        fingerprint=tab.version.fingerprint,
        wants_usage=request.wants_usage,
    )
    if tab.copy is not None:
        stamp = tab.copy.stamp(stamp)
    data = b""
    while chunks := await answer.chunks():
        shaped = shape.feed(chunks)
        tab.saw_chunks(answer, shaped)
        if screen is not None:
            shaped = screen.chunks(shaped)
        data = stamp.encode(shaped)
        tab.produced(answer.produced)
        if answer.is_finished or (screen is not None and screen.is_over):
            break  # Goes out with the end, in one write.
        if data:
            exchange.write(data)
            data = b""
            if exchange.is_write_paused:
                await exchange.drained()
    rest = shape.finish()
    tab.saw_chunks(answer, rest)
    if screen is not None:
        rest = await screen.last(rest)
    data += stamp.encode(rest)
    if screen is not None:
        data += screen.ending(stamp)
    if request.wants_usage:
        data += stamp.encode_usage(tab.usage())
    exchange.write_last(data + chat_write.DONE)
