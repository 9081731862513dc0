"""What the sandbox says: who it is, what it was asked, then filler.

Every sentence of the filler begins with a space and a capital and ends with a full stop, and is
plain ASCII: the tokenizers split there, so a text's tokens are the tokens of its sentences one
after the other, and filler is never tokenised twice (`voice.py`).
"""

from collections import Counter

from keyhall.wire.chat import ChatRequest, Message

OPENING = "This is Keyhall's sandbox, not an AI."
QUOTE_CHARACTERS_MAX = 80
RESULTS_QUOTED_MAX = 3

FILLER = tuple(
    f" {sentence}."
    for sentence in (
        "The hall is wide and its floor is made of old stone",
        "A row of keys hangs on the wall behind the desk",
        "Someone polishes the brass until it shines",
        "Each door has a number and each number has a key",
        "The clock above the stairs strikes four",
        "Rain runs down the tall windows on the north side",
        "A visitor signs the book and waits on the bench",
        "The smallest key opens the largest room",
        "Two lamps burn beside the entrance all night",
        "The porter counts the keys in the morning and again at night",
        "Nobody remembers who built the tower",
        "A cat sleeps on the warm step near the kitchen",
        "The third drawer holds paper, ink and string",
        "Footsteps cross the gallery and fade away",
        "A letter lies on the table, still sealed",
        "The garden gate is open until sunset",
        "Bread and soup are served at noon",
        "The map on the wall shows every corridor",
        "A bell rings once for a guest and twice for a friend",
        "The carpet in the long room is green and worn",
        "An old chair stands by the fire",
        "The wind moves the curtains a little",
        "Somebody left a coat on the hook by the door",
        "The library has more ladders than readers",
        "A child counts the steps and always gets a different sum",
        "The cook writes the menu with white chalk",
        "Every winter the roof is mended before the snow comes",
        "The mirror in the passage makes the house look twice as long",
        "A boat crosses the lake and leaves a thin line behind it",
        "The gardener plants beans along the south wall",
        "The stairs turn left and then left again",
        "A candle is enough to read by in the small office",
        "The master key is kept in a plain wooden box",
        "The painter has left blue marks on the sill",
        "Horses wait in the yard and shake their heads",
        "The last train passes just before midnight",
        "A basket of apples stands under the arch",
        "The floor creaks only in the middle of the room",
        "Dust turns slowly in the light of the afternoon",
        "The windows of the east wing face the sea",
        "A spare key is hidden where everybody looks first",
        "The well in the court is deep and the water is cold",
        "The guests speak quietly and laugh often",
        "A violin is heard from the upper floor",
        "The baker arrives long before the sun",
        "A heavy door closes somewhere below",
        "The blue room is kept for rainy days",
        "Snow lies on the fields until the end of March",
        "The smith can copy any key but one",
        "A moth circles the lamp and will not leave",
        "The attic smells of cedar and old books",
        "The road to the village follows the river",
        "A swallow nests above the second window",
        "The night guard walks the same round three times",
        "Coffee is ready in the room beside the desk",
        "The wall clock and the tower clock never agree",
        "A narrow bridge leads to the mill",
        "The carpenter measures twice and cuts once",
        "The hall is quiet again when the visitors have left",
        "A dog barks at the moon from the far bank",
        "The curtain rises and the music begins",
        "Grapes grow over the roof of the shed",
        "The keeper of the keys knows every name",
        "Tomorrow the doors open at eight",
    )
)


def choice_note(index: int, choices: int) -> str:
    """A sentence that tells choices apart; nothing where there is only one."""
    return f" Choice {index + 1} of {choices}." if choices > 1 else ""


def body(request: ChatRequest, input_tokens: int) -> str:
    """What was received: counts, the user's last words, tool results, sampling."""
    messages = request.messages
    noun = "message" if len(messages) == 1 else "messages"
    tokens = "token" if input_tokens == 1 else "tokens"
    said = f" You sent {len(messages)} {noun} ({_roles(messages)}), {input_tokens} {tokens} in all."
    results = tool_results(messages)
    if results:
        for name, result in results[-RESULTS_QUOTED_MAX:]:
            said += f' The tool {name} answered: "{quoted(result)}".'
    else:
        last = last_user_text(request)
        if last:
            said += f' You said: "{quoted(last)}".'
    return f"{said}{_sampling(request)} The rest of this answer is filler."


def json_facts(request: ChatRequest, input_tokens: int, filler: str) -> list[dict[str, object]]:
    """JSON objects to answer `json_object` with, the fullest first and the shortest last."""
    full: dict[str, object] = {
        "sandbox": True,
        "note": OPENING,
        "messages": len(request.messages),
        "input_tokens": input_tokens,
        "last_user_message": quoted(last_user_text(request)),
        "filler": filler.strip(),
    }
    return [full, {"sandbox": True, "note": OPENING}, {"sandbox": True}, {}]


def last_user_text(request: ChatRequest) -> str:
    """The text of the last user message; empty if there is none."""
    for message in reversed(request.messages):
        if message.role == "user":
            return text_of(message)
    return ""


def text_of(message: Message) -> str:
    """A message's text, its parts joined."""
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return " ".join(part.text for part in content if isinstance(part.text, str))


def quoted(text: str) -> str:
    """The beginning of a text on one line, as UTF-8 can carry it."""
    start = text[: QUOTE_CHARACTERS_MAX * 4]
    if not start.isascii():
        start = start.encode("utf-8", "replace").decode()  # A lone surrogate becomes `?`.
    line = " ".join(start.split())
    if len(line) > QUOTE_CHARACTERS_MAX or len(text) > len(start):
        return line[:QUOTE_CHARACTERS_MAX] + "…"
    return line


def tool_results(messages: list[Message]) -> list[tuple[str, str]]:
    """Name and text of the tool results that the conversation ends with, oldest first."""
    results: list[tuple[str, str]] = []
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if message.role not in ("tool", "function"):
            names = {call.id: call.function.name for call in message.tool_calls or ()}
            return [(quoted(names.get(name, name)), text) for name, text in reversed(results)]
        results.append((message.tool_call_id or message.name or "?", text_of(message)))
    return [(quoted(name), text) for name, text in reversed(results)]


def _roles(messages: list[Message]) -> str:
    """`1 system, 2 user`: in the order in which they first appear."""
    if len(messages) == 1:
        return f"1 {messages[0].role}"
    counts = Counter([message.role for message in messages])
    return ", ".join([f"{count} {role}" for role, count in counts.items()])


def _sampling(request: ChatRequest) -> str:
    """The sampling parameters that were sent."""
    sent = []
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        value = getattr(request, name)
        if value is not None:
            sent.append(f"{name} {value:g}")
    if request.seed is not None:
        sent.append(f"seed {request.seed}")
    if request.asked_cap is not None:
        sent.append(f"output cap {request.asked_cap}")
    return f" Sampling: {', '.join(sent)}." if sent else ""
