"""Models in words and as JSON."""

from typing import Any

from keyhall.cli.manage import show, words
from keyhall.engines.local.gguf import Header
from keyhall.flows.models.files import Seen, State
from keyhall.flows.models.memory import Memory
from keyhall.policy.catalogue import Version
from keyhall.ports.records import ModelRecord

STATES: dict[State, str] = {
    "ok": "ok",
    "missing": "file missing",
    "unreadable": "not readable",
    "changed": "changed",
    "touched": "touched",
}
ADVICE: dict[State, str] = {
    "ok": "",
    "missing": "Put it back, or remove the model: requests for it get 503.",
    "unreadable": "Give it to the user who runs the server: chown, chmod.",
    "changed": "It is another file than was added, and answers nothing: put the old one back, or "
    "remove the model and add it again.",
    "touched": "Somebody may have written to it since it was added: `keyhall models show {name} "
    "--verify` computes its SHA-256 again.",
}


def size(count: int) -> str:
    """Bytes as people say them: `397 MB`, `4.9 GB`, powers of ten like a file manager."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            amount = count / factor
            return (
                f"{amount:,.1f} {unit}" if amount < 10 or unit == "GB" else f"{amount:,.0f} {unit}"
            )
    return f"{count} bytes"


def parameters(count: int) -> str:
    """`596 million`, `8.0 billion`."""
    if count >= 999_500_000:
        return f"{count / 1e9:,.1f} billion"
    if count >= 1_000_000:
        return f"{count / 1e6:,.0f} million"
    return f"{count:,}"


def quantization(header: Header) -> str:
    if not header.bits_per_weight:
        return header.quantization
    return f"{header.quantization}, {header.bits_per_weight:.1f} bits a weight"


WIDTH = len("Quantization")


def describe_file(seen: Seen) -> None:
    """What the file says of itself."""
    header = seen.header
    trained = f"{header.context:,} tokens trained" if header.context else "the file does not say"
    template = "yes" if header.template else "no: a general form is used, which may not suit it"
    show.facts(
        (
            ("File", f"{seen.path} ({size(seen.size)})"),
            ("Says", header.name),
            ("Architecture", header.architecture),
            ("Parameters", parameters(header.parameters)),
            ("Quantization", quantization(header)),
            ("Context", trained),
            ("Template", template),
            ("License", header.license or "the file does not say: look where it came from"),
        )
    )


def memory(needs: Memory, has: int) -> str:
    parts = f"{size(needs.weights)} weights, {size(needs.cache)} cache, {size(needs.work)} work"
    return f"about {size(needs.total)}: {parts}; this machine has {size(has)}"


def slots(model: ModelRecord) -> str:
    return f"{words.counted(model.slots, 'slot')} of {model.slot_context:,} tokens"


def json_of(model: ModelRecord, state: State, versions: list[Version]) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": model.path,
        "size": model.size,
        "sha256": model.sha256,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "context": model.context,
        "has_template": model.has_template,
        "slots": model.slots,
        "slot_context": model.slot_context,
        "threads": model.threads,
        "shares_prefixes": model.shares_prefixes,
        "created_at": words.stamp(model.created_at_us),
        "state": state,
        "versions": [version.name for version in versions],
    }


def describe(model: ModelRecord, state: State, versions: list[Version]) -> None:
    shared = (
        "for all organizations" if model.shares_prefixes else "none: nothing is kept of prompts"
    )
    show.facts(
        (
            ("Name", model.name),
            ("File", f"{model.path} ({size(model.size)})"),
            ("State", STATES[state]),
            ("SHA-256", model.sha256),
            ("Architecture", model.architecture),
            ("Parameters", parameters(model.parameters)),
            ("Context", f"{model.context:,} tokens trained" if model.context else "not said"),
            ("Template", "yes" if model.has_template else "no"),
            ("Runs with", slots(model)),
            ("Threads", str(model.threads) if model.threads else "as the machine has"),
            ("Prefix cache", shared),
            ("Versions", ", ".join(version.name for version in versions) or "none in use"),
            ("Added", f"{words.when(model.created_at_us)} UTC"),
        )
    )
    if ADVICE[state]:
        show.line(f"\n{ADVICE[state].format(name=model.name)}")
