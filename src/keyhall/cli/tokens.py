"""`keyhall tokens`: the server's own count of a conversation or a text, offline."""

import json
from typing import Any

import click
import msgspec

from keyhall import tokenizers
from keyhall.cli.manage import words
from keyhall.errors import ApiError
from keyhall.policy.tokens import Tokenizer
from keyhall.wire import chat_read, chat_truncate
from keyhall.wire.chat import ChatRequest
from keyhall.wire.chat_count import count_request

LIMIT = 4_096  # Of the versions that come with Keyhall.
DEFAULT_ENCODING = "o200k_base"
# The names that every hall begins with; all are counted with the default.
FIRST_NAMES = frozenset(
    ("v1", "v1.1", "keyhall-v1", "keyhall-v1.1", "v1-sandbox-1", "v1.1-sandbox-1")
)


@click.group()
def tokens() -> None:
    """Count the tokens of a conversation, offline."""


@tokens.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--text", "is_text", is_flag=True, help="FILE is plain text, not a request.")
@click.option("--model", metavar="NAME", help="Count as for this model: gpt-4, gpt-4o, v1.  [v1]")
@click.option("--encoding", type=click.Choice(tokenizers.NAMES), help="Count with this encoding.")
@click.option("--limit", type=click.IntRange(1), default=LIMIT, show_default=True,
              help="Input tokens that the model takes.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def count(
    file: str,
    is_text: bool,
    model: str | None,
    encoding: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Count the input tokens of FILE, or of what is piped in where FILE is "-".

    FILE is the body of a chat request, an object with "messages", or a list of messages. The count
    is the one that the server bills and holds against the model's limit.
    """
    with click.open_file(file, "rb") as source:
        data = source.read()
    where = "Standard input" if file == "-" else file
    request = None if is_text else read_request(data, where)
    note = None
    if encoding is None:
        name = model or (request.model if request is not None else "v1")
        encoding = encoding_of(name)
        if not is_known(name):
            note = f"counted with {encoding}; say --encoding for a version with another tokenizer"
    tokenizer = tokenizers.load(encoding)
    if request is None:
        number = tokenizer.count(read_text(data, where))
    else:
        number = count_request(request, tokenizer)
    result: dict[str, Any] = {
        "tokens": number,
        "encoding": encoding,
        "limit": limit,
        "left": limit - number,
        "fits": number <= limit,
    }
    if request is not None:
        result["messages"] = len(request.messages)
        if request.truncation == "auto" and number > limit:
            result["shortened"] = shortened(request, tokenizer, limit)
    if note is not None:
        result["note"] = note
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(told(result))
    if note is not None:
        click.echo(f"{name} is not known here: {note}.", err=True)


def told(result: dict[str, Any]) -> str:
    tokens, limit, left = result["tokens"], result["limit"], result["left"]
    line = f"{words.counted(tokens, 'token')} ({result['encoding']}); "
    if result["fits"]:
        return line + f"fits: {left:,} of {limit:,} left"
    line += f"too long: {-left:,} more than {limit:,}"
    if "shortened" in result:
        kept = result["shortened"]
        if kept is None:
            return line + "\nTruncation cannot help: what must be kept is too long by itself."
        line += (
            f"\nTruncation leaves out {words.counted(kept['dropped_messages'], 'message')} with "
            f"{words.counted(kept['dropped_tokens'], 'token')}; {kept['tokens']:,} remain"
        )
    return line


def shortened(request: ChatRequest, tokenizer: Tokenizer, limit: int) -> dict[str, int] | None:
    """What `truncation` would leave of a request that is too long; None: it would be refused."""
    try:
        kept = chat_truncate.shorten(request, tokenizer, limit)
    except ApiError:
        return None
    return {
        "tokens": kept.tokens,
        "messages": len(kept.messages),
        "dropped_messages": kept.dropped_messages,
        "dropped_tokens": kept.dropped_tokens,
    }


def encoding_of(model: str) -> str:
    """The encoding of OpenAI's models by their names; Keyhall's own versions use the default."""
    import tiktoken

    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return DEFAULT_ENCODING
    return name if name in tokenizers.NAMES else DEFAULT_ENCODING


def is_known(model: str) -> bool:
    """Whether a name says by itself what counts its tokens."""
    import tiktoken

    if model in FIRST_NAMES or model.startswith("sandbox/"):
        return True
    try:
        return tiktoken.encoding_name_for_model(model) in tokenizers.NAMES
    except KeyError:
        return False


def read_text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{where} is not UTF-8 text: see byte {error.start}.") from None


def read_request(data: bytes, where: str) -> ChatRequest:
    """The request as the server reads it; a list of messages is a request of just these."""
    try:
        value = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "Is it plain text? Then add --text."
        raise click.ClickException(f"{where} is not JSON: {error}. {hint}") from None
    if isinstance(value, list):
        value = {"messages": value}
    if isinstance(value, dict):
        value.setdefault("model", "v1")
    try:
        return chat_read.read(msgspec.json.encode(value))
    except ApiError as error:
        raise click.ClickException(f"{where} is not a chat request: {error}") from None
