"""The upstream engine: any OpenAI-compatible server, named by the operator (R8, R9).

The key lives in the prebuilt head of the requests and nowhere else; of headers, an upstream gets
exactly the ones written here, never a caller's.
"""

import asyncio
from collections.abc import Sequence

import msgspec

import keyhall
from keyhall.engines.upstream import faults
from keyhall.engines.upstream.address import (
    Address,
    AddressRefused,
    Endpoint,
    Resolver,
    parse_address,
    refuse_key,
)
from keyhall.engines.upstream.answer import UpstreamAnswer
from keyhall.engines.upstream.call import Call, Deadlines
from keyhall.engines.upstream.pool import Pool, Sizes
from keyhall.errors import ApiError
from keyhall.outbox import Outbox
from keyhall.policy.secrets import Secret
from keyhall.ports.engine import Job
from keyhall.wire import chat_write
from keyhall.wire.chat_write import CapField

MODELS_MAX = 2_000
MODEL_NAME_MAX = 256
CHECK_SECONDS = 10.0


class UpstreamEngine:
    """Implements `keyhall.ports.engine.Engine`. May be made outside an event loop.

    Raises AddressRefused if the address or the key may not be used. `own` are the addresses that
    Keyhall listens on. `hop`, if given, goes out as `X-Keyhall-Hop` in each request: a server that
    gets its own hop back is calling itself through someone else.
    """

    counts_tokens = False

    def __init__(
        self,
        name: str,
        base_url: str,
        key: Secret | str = "",
        *,
        cap_field: CapField | None = None,
        ca_file: str | None = None,
        deadlines: Deadlines | None = None,
        sizes: Sizes | None = None,
        own: Sequence[Endpoint] = (),
        hop: str = "",
        resolver: Resolver | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        address = parse_address(base_url)
        text = key.reveal() if isinstance(key, Secret) else key
        reason = refuse_key(text)
        if reason:
            raise AddressRefused(reason)
        self.name = name
        self.address = address
        self._cap_field = cap_field or default_cap_field(address)
        self._chat_head = _head(address, "POST", "/chat/completions", text, hop)
        self._chat_head += b"Content-Type: application/json\r\nContent-Length: "
        self._models_request = _head(address, "GET", "/models", text, hop) + b"\r\n"
        self._moderations_head = _head(address, "POST", "/moderations", text, hop)
        self._moderations_head += b"Content-Type: application/json\r\nContent-Length: "
        self._cleaner = faults.Cleaner(text, address.host)
        self.pool = Pool(
            address,
            resolver or Resolver(address, own=own),
            ca_file=ca_file,
            deadlines=deadlines,
            sizes=sizes,
            outbox=outbox,
        )

    def __repr__(self) -> str:
        return f"UpstreamEngine({self.name!r}, {str(self.address)!r})"

    def start(self, job: Job) -> UpstreamAnswer:
        request, version = job.request, job.version
        streams = bool(request.stream)
        body = chat_write.encode_upstream(
            request,
            model=version.engine_model,
            output_cap=job.output_cap,
            cap_field=self._cap_field,
            sampling=version.sampling,
            stream=streams,
        )
        answer = UpstreamAnswer(
            b"%b%d\r\n\r\n%b" % (self._chat_head, len(body), body),
            streams,
            choices=request.n or 1,
            pool=self.pool,
            cleaner=self._cleaner,
            accepted=job.accepted,
        )
        self.pool.start(answer)
        return answer

    async def check(self) -> str | None:
        """None if the engine answers and takes the key. A server without a list of models is as
        good as any. The line may name the upstream's address: it is for the operator."""
        try:
            await self._ask_models()
        except ApiError as error:
            return self.why(error)
        return None

    def why(self, error: ApiError) -> str:
        """What an operator is told of a failure, who may know more than a caller."""
        return self.trouble or str(error.facts.get("detail", error))

    @property
    def trouble(self) -> str | None:
        """Why there is no connection: more than a caller may be told."""
        return None if self.pool.open_connections else self.pool.trouble

    async def list_models(self) -> list[str]:
        """The names that the upstream lists, at most 2,000, in its own order. Raises ApiError."""
        call = await self._ask_models()
        body = call.take()
        try:
            listed = msgspec.json.decode(body, type=_Models).data if call.status == 200 else []
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise faults.failed("its list of models cannot be read") from None
        names = dict.fromkeys(model.id for model in listed[: 2 * MODELS_MAX])
        return [n for n in names if 0 < len(n) <= MODEL_NAME_MAX and n.isprintable()][:MODELS_MAX]

    async def moderate(self, text: str) -> bool | None:
        """Whether the upstream's own moderation flags a text; None if it has none."""
        body = msgspec.json.encode({"input": text})
        call = await self._ask(b"%b%d\r\n\r\n%b" % (self._moderations_head, len(body), body))
        if call.status != 200:
            return None
        try:
            found = msgspec.json.decode(call.take(), type=_Moderation).results
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return any(each.flagged for each in found) if found else None

    @property
    def is_idle(self) -> bool:
        """No request is under way: closing takes an answer from nobody."""
        return self.pool.is_idle

    async def close(self) -> None:
        await self.pool.close()

    async def _ask_models(self) -> Call:
        return await self._ask(self._models_request)

    async def _ask(self, request: bytes) -> Call:
        """The finished call. Runs in an ordinary task, so a future waits for its signal."""
        call = Call(request, False)
        self.pool.start(call)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                while not call.is_over:
                    woken = asyncio.Event()
                    call.signal.arm(woken.set)
                    await woken.wait()
        except TimeoutError:
            raise faults.timed_out(f"no answer within {CHECK_SECONDS:g} s") from None
        finally:
            call.signal.disarm()
            if not call.is_over:
                self.pool.forget(call)
                call.leave()
        if call.status not in (0, 200, 404, 405):
            raise faults.from_status(call.status, call.headers, call.take(), self._cleaner)
        if call.failure is not None:
            raise call.failure
        return call


def default_cap_field(address: Address) -> CapField:
    """OpenAI's newer models refuse `max_tokens`; many other servers know nothing else."""
    return "max_completion_tokens" if address.host == "api.openai.com" else "max_tokens"


def _head(address: Address, method: str, path: str, key: str, hop: str) -> bytes:
    """The header lines that all requests share."""
    lines = [
        f"{method} {address.path}{path} HTTP/1.1",
        f"Host: {address.authority}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        f"User-Agent: keyhall/{keyhall.__version__}",
    ]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if hop:
        lines.append(f"X-Keyhall-Hop: {hop}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class _Flagged(msgspec.Struct):
    flagged: bool


class _Moderation(msgspec.Struct):
    results: list[_Flagged]
