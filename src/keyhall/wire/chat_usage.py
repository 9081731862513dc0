"""What an upstream's answer used: its own count where that can be true, else ours (R12).

Delivered text is counted as the recorded answers of OpenAI's that we know were (`chat_count.py` has
the input's side of it): for each choice

    its content, as one text
    + each tool call: name + arguments + 7
    + a refusal and 1

The texts are kept as they were streamed until the usage is known; nothing is counted before.
"""

from collections.abc import Container

from msgspec import UNSET

from keyhall.policy.tokens import UNBOUNDED, Tokenizer
from keyhall.wire.chat import Chunk, ChunkChoice, Completion, TokenUsage
from keyhall.wire.chat_count import CALL_TOKENS, REFUSAL_TOKENS

_PROMPT_DETAILS = frozenset(
    {"cached_tokens", "cache_write_tokens", "audio_tokens", "text_tokens", "image_tokens"}
)
_COMPLETION_DETAILS = frozenset(
    {
        "reasoning_tokens",
        "audio_tokens",
        "text_tokens",
        "accepted_prediction_tokens",
        "rejected_prediction_tokens",
    }
)


def is_possible(usage: TokenUsage, held: int) -> bool:
    """Whether an upstream's count lies within what was held for the request (R12)."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return prompt >= 0 and completion >= 0 and prompt + completion <= held


def relayed(usage: TokenUsage) -> TokenUsage:
    """A possible usage as the caller gets it: a sum that is one, known details that can be true."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return TokenUsage(
        prompt,
        completion,
        prompt + completion,
        _details(usage.prompt_tokens_details, _PROMPT_DETAILS, prompt),
        _details(usage.completion_tokens_details, _COMPLETION_DETAILS, completion),
    )


def _details(
    said: dict[str, int | None] | None, known: Container[str], most: int
) -> dict[str, int | None] | None:
    if said is None:
        return None
    for name, tokens in said.items():
        if name not in known or tokens is None or not 0 <= tokens <= most:
            break
    else:
        return said  # Nearly all are of this kind.
    return {
        name: tokens
        for name, tokens in said.items()
        if name in known and tokens is not None and 0 <= tokens <= most
    }


class Said:
    """What the choices of a streamed answer have said so far. Feed it chunks that were shaped."""

    __slots__ = ("_calls", "_contents", "_refusals", "characters")

    def __init__(self, choices: int) -> None:
        self.characters = 0
        self._contents: list[list[str]] = [[] for _ in range(choices)]
        self._calls: dict[tuple[int, int], tuple[list[str], list[str]]] = {}  # names, arguments
        self._refusals: dict[int, list[str]] = {}

    def hear(self, chunks: list[Chunk]) -> None:
        contents = self._contents
        for chunk in chunks:
            for choice in chunk.choices:
                delta = choice.delta
                content = delta.content
                if content:
                    contents[choice.index].append(content)
                    self.characters += len(content)
                    if delta.tool_calls is UNSET:
                        continue  # Nearly all are of this kind.
                self._hear_rest(choice)

    def _hear_rest(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta.refusal:
            self._refusals.setdefault(choice.index, []).append(delta.refusal)
        for call in delta.tool_calls or ():
            names, arguments = self._calls.setdefault((choice.index, call.index), ([], []))
            if call.function:
                names.append(call.function.name or "")
                arguments.append(call.function.arguments or "")
        if delta.function_call:
            names, arguments = self._calls.setdefault((choice.index, -1), ([], []))
            names.append(delta.function_call.name or "")
            arguments.append(delta.function_call.arguments or "")

    @property
    def size(self) -> int:
        """Grows with whatever is said: tells whether more came since."""
        pieces = [*self._contents, *self._refusals.values()]
        return sum(map(len, pieces)) + sum(len(names) for names, _ in self._calls.values())

    def count(self, tokenizer: Tokenizer, ceiling: int = UNBOUNDED) -> int:
        """The output tokens of what was said: of each text exact up to `ceiling`, above it "at
        least"."""
        return (
            sum(tokenizer.count("".join(content), ceiling) for content in self._contents)
            + sum(_count_refusal("".join(said), tokenizer) for said in self._refusals.values())
            + sum(
                _count_call("".join(names), "".join(arguments), tokenizer)
                for names, arguments in self._calls.values()
            )
        )


def count_completion(completion: Completion, tokenizer: Tokenizer, ceiling: int = UNBOUNDED) -> int:
    """The output tokens of a whole answer: of each text exact up to `ceiling`."""
    total = 0
    for choice in completion.choices:
        message = choice.message
        total += tokenizer.count(message.content or "", ceiling)
        if message.refusal:
            total += _count_refusal(message.refusal, tokenizer)
        calls = [call.function for call in message.tool_calls or ()]
        if message.function_call:
            calls.append(message.function_call)
        total += sum(_count_call(call.name, call.arguments, tokenizer) for call in calls)
    return total


def _count_refusal(text: str, tokenizer: Tokenizer) -> int:
    return tokenizer.count(text) + REFUSAL_TOKENS


def _count_call(name: str, arguments: str, tokenizer: Tokenizer) -> int:
    return tokenizer.count(name) + tokenizer.count(arguments) + CALL_TOKENS
