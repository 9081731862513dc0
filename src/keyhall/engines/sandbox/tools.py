"""Which tools the sandbox calls: a rule anybody can follow, not a guess at meaning.

`required` calls, a named function is called, `none` never. With `auto` a call is made only when
the conversation ends with a user message, and then the first of: every tool whose full name stands
in that message; the first tool a word of whose name does; the first a longer word of whose
description does; the first tool at all if the message says "tool" or "call". Otherwise text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from keyhall.engines.sandbox.words import last_user_text
from keyhall.wire.chat import ChatRequest, FunctionDefinition, NamedFunction, ToolChoice

CALLS_MAX = 8
SEARCHED_CHARACTERS_MAX = 4000

_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_WORD = re.compile(r"\w+")
_FULL_NAME = re.compile(r"[\w-]+")
_COMMON = frozenset(
    """
    about call current does find from function functions get given have into make name return
    returns run search set should show some tell that the their them there this tool tools used
    user uses using value values what when where which will with would your
    """.split()  # noqa: SIM905 - a list of words reads better as text
)


@dataclass(frozen=True, slots=True)
class Calling:
    """The functions to call, in order; never empty."""

    functions: Sequence[FunctionDefinition]
    is_named: bool = False  # forced by name: such an answer finishes with `stop`
    is_legacy: bool = False  # the deprecated `functions` and `function_call`


def calling(request: ChatRequest) -> Calling | None:
    """What to call, or None for an answer in text."""
    if request.tools:
        functions = [tool.function for tool in request.tools]
        choice: object = request.tool_choice
    elif request.functions:
        functions = request.functions
        choice = request.function_call
    else:
        return None
    is_legacy = not request.tools
    if choice == "none":
        return None
    if isinstance(choice, ToolChoice):
        choice = choice.function
    if isinstance(choice, NamedFunction):
        named = [function for function in functions if function.name == choice.name]
        return Calling(named[:1] or [FunctionDefinition(choice.name)], True, is_legacy)
    asked = _asked_for(functions, request)
    if not asked and choice == "required":
        asked = functions[:1]
    if not asked:
        return None
    is_single = is_legacy or request.parallel_tool_calls is False
    return Calling(asked[: 1 if is_single else CALLS_MAX], False, is_legacy)


def _asked_for(
    functions: Sequence[FunctionDefinition], request: ChatRequest
) -> Sequence[FunctionDefinition]:
    if request.messages[-1].role != "user":
        return ()
    said = last_user_text(request)[:SEARCHED_CHARACTERS_MAX].lower()
    words = {*_WORD.findall(said), *_FULL_NAME.findall(said)}
    named = [function for function in functions if function.name.lower() in words]
    if named:
        return named
    for function in functions:
        if not words.isdisjoint(_name_words(function.name)):
            return [function]
    for function in functions:
        if not words.isdisjoint(_description_words(function.description or "")):
            return [function]
    if not words.isdisjoint(("tool", "tools", "call")):
        return functions[:1]
    return ()


def _name_words(name: str) -> list[str]:
    """`get_currentWeather` gives `weather`: words of three letters or more, no common ones."""
    words = [word.lower() for word in _NAME_WORD.findall(name)]
    return [word for word in words if len(word) >= 3 and word not in _COMMON]


def _description_words(description: str) -> list[str]:
    words = _WORD.findall(description[:SEARCHED_CHARACTERS_MAX].lower())
    return [word for word in words if len(word) >= 5 and word not in _COMMON]
