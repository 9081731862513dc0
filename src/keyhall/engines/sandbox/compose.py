"""What the sandbox answers to a request: one draft per choice, planned whole before it is said.

Tool calls if the request leads to any, else JSON if it asks for that, else prose: who is speaking,
what was received, filler up to a natural length. The plan depends on the job alone, so the same
request gives the same bytes, streamed or whole. Values for a schema may take milliseconds each:
before one is written, `pause` lets others go first.
"""

import json
from collections.abc import Awaitable, Iterable, Sequence

import msgspec

from keyhall.engines.sandbox.dice import Dice, seed_of
from keyhall.engines.sandbox.schema.values import EFFORT_MAX, value_for
from keyhall.engines.sandbox.scripts import Script
from keyhall.engines.sandbox.tools import Calling, calling
from keyhall.engines.sandbox.voice import CALL_OVERHEAD, NOTHING, Call, Draft, Part, Voice
from keyhall.engines.sandbox.words import body, choice_note, json_facts, last_user_text
from keyhall.policy.tokens import TOKEN_BYTES_MAX
from keyhall.ports.engine import Job
from keyhall.wire.chat import ChatRequest, FunctionDefinition

NATURAL_TOKENS_MIN = 70  # An answer ends with the first whole sentence at or after a length
NATURAL_TOKENS_SPREAD = 41  # that is drawn from here.

_ID_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


async def compose(job: Job, script: Script, voice: Voice, pause: Awaitable[None]) -> list[Draft]:
    """One draft for each choice, each within the job's output cap."""
    request = job.request
    seed = seed_of(request, job.version.engine_model)
    choices = request.choices
    dice = [Dice(seed + index) for index in range(choices)]
    if not script.is_prose:
        called = calling(request)
        if called is not None:
            return [await _calls(job, called, voice, each, pause) for each in dice]
        form = request.response_format
        if form is not None and form.type != "text":
            return [await _json(job, voice, each, pause) for each in dice]
    received = voice.part(body(request, job.input_tokens))
    return [
        _prose(
            job,
            script,
            voice,
            dice[index],
            [voice.opening, voice.part(choice_note(index, choices)), received],
        )
        for index in range(choices)
    ]


def _prose(job: Job, script: Script, voice: Voice, dice: Dice, start: list[Part]) -> Draft:
    """Who is speaking, what was received, and filler."""
    cap = job.output_cap
    natural = NATURAL_TOKENS_MIN + dice.below(NATURAL_TOKENS_SPREAD)
    wanted = cap + 1 if script.fills_cap else min(natural, cap + 1)
    spoken = [part for part in start if part.tokens]
    said = sum([len(part.tokens) for part in spoken])
    for sentence in voice.sentences(dice, varied=_is_varied(job)):
        spoken.append(sentence)
        said += len(sentence.tokens)
        if said >= wanted:
            break
    parts, is_stopped = _stopped(spoken, job.request, voice)
    if script.is_filtered and not is_stopped:
        parts, _ = voice.within(parts, min(cap, said // 2))
        return Draft(parts, "content_filter")
    parts, is_cut = voice.within(parts, cap)
    return Draft(parts, "length" if is_cut else "stop")


async def _json(job: Job, voice: Voice, dice: Dice, pause: Awaitable[None]) -> Draft:
    """A JSON answer: the fullest that fits the cap, or the shortest one cut off."""
    request = job.request
    said = last_user_text(request)
    form = request.response_format
    described = form.json_schema if form is not None else None
    if described is not None and described.schema is not None:
        schema = described.schema
        values: Iterable[object] = (
            value_for(schema, dice, said, is_lean=is_lean, effort=EFFORT_MAX // request.choices)
            for is_lean in (False, True)
        )
    else:
        sentence = next(iter(voice.sentences(dice, varied=False)))
        values = json_facts(request, job.input_tokens, sentence.text)
    part = await _fitting(values, voice, job.output_cap, pause)
    parts, _ = _stopped([part], request, voice)
    parts, is_cut = voice.within(parts, job.output_cap)
    return Draft(parts, "length" if is_cut else "stop")


async def _calls(
    job: Job, called: Calling, voice: Voice, dice: Dice, pause: Awaitable[None]
) -> Draft:
    """Tool calls with arguments valid for their schemas, as many as fit the cap."""
    said = last_user_text(job.request)
    room = job.output_cap
    calls: list[Call] = []
    is_cut = False
    effort = EFFORT_MAX // (job.request.choices * len(called.functions))
    for function in called.functions:
        call = await _call(function, said, voice, dice, room, effort, pause)
        if call is None:
            is_cut = True
            break
        calls.append(call)
        room -= call.overhead + len(call.arguments.tokens)
        if room < 0:
            calls[-1] = _cut_call(call, voice, room)
            is_cut = True
            break
    if is_cut:
        return Draft((), "length", calls, called.is_legacy)
    if called.is_named:  # The real API ends a forced call with `stop`.
        return Draft((), "stop", calls, called.is_legacy)
    return Draft((), "function_call" if called.is_legacy else "tool_calls", calls, called.is_legacy)


async def _call(
    function: FunctionDefinition,
    said: str,
    voice: Voice,
    dice: Dice,
    room: int,
    effort: int,
    pause: Awaitable[None],
) -> Call | None:
    """One call, its arguments perhaps too long; None if there is no room for its name."""
    overhead = CALL_OVERHEAD + len(voice.part(function.name).tokens)
    if overhead > room:
        return None
    identity = "call_" + "".join([_ID_CHARACTERS[dice.below(62)] for _ in range(24)])
    schema = function.parameters
    if not schema:
        return Call(identity, function.name, voice.part("{}"), overhead)
    values = (
        value_for(schema, dice, said, is_lean=is_lean, effort=effort) for is_lean in (False, True)
    )
    # Arguments are an object, whatever the schema says.
    objects = (value if isinstance(value, dict) else {} for value in values)
    arguments = await _fitting(objects, voice, room - overhead, pause)
    return Call(identity, function.name, arguments, overhead)


def _cut_call(call: Call, voice: Voice, room: int) -> Call:
    """The call with its arguments cut by what is missing, as a model is cut by its cap."""
    left = len(call.arguments.tokens) + room
    arguments = voice.cut(call.arguments, left) if left else NOTHING
    return Call(call.id, call.name, arguments, call.overhead)


async def _fitting(
    values: Iterable[object], voice: Voice, room: int, pause: Awaitable[None]
) -> Part:
    """The first value that fits as JSON, or the last one: of that perhaps only a beginning that is
    too long. Values are written as they are asked for."""
    text = ""
    await pause
    for value in values:
        text = _encoded(value)
        if len(text) <= room * TOKEN_BYTES_MAX:
            part = voice.start(text, room)
            if len(part.tokens) <= room:
                return part
        await pause
    return voice.start(text, room)


def _encoded(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # A lone surrogate from the schema: written as an escape.
        return json.dumps(value, separators=(",", ":"))


def _stopped(
    parts: Sequence[Part], request: ChatRequest, voice: Voice
) -> tuple[Sequence[Part], bool]:
    stop = request.stop
    if not stop:
        return parts, False
    return voice.before(parts, [stop] if isinstance(stop, str) else stop)


def _is_varied(job: Job) -> bool:
    """A penalty on repetition, the request's or the version's: no filler is said twice."""
    request, sampling = job.request, job.version.sampling
    frequency = request.frequency_penalty
    presence = request.presence_penalty
    frequency = sampling.frequency_penalty if frequency is None else frequency
    presence = sampling.presence_penalty if presence is None else presence
    return (frequency or 0) > 0 or (presence or 0) > 0
