"""The versions of a model of this machine: as it answers by itself, and what stands behind `v1`
and `v1.1` (R8)."""

from keyhall.flows.models import house
from keyhall.policy.catalogue import ENGINE_COUNTS, Price, Sampling, Version
from keyhall.ports.records import ModelRecord

TOKENS = 4096  # in and out, of what is no model in a file
DIGITS = 12  # of the file's SHA-256: another file under an old name is another model
ITS_OWN = Sampling()  # what the engine does unasked
# Fixed before anything was measured, so that v1.1 has something to be compared with.
PLAIN = Sampling(temperature=0.7, top_p=1.0)
# Chosen among nine by experiment (`bench/versions.py`): min-p made the model repeat itself more.
CALMER = Sampling(
    temperature=0.7,
    top_p=1.0,
    frequency_penalty=0.3,
    presence_penalty=0.2,
    dry_multiplier=0.8,
    dry_base=1.75,
    dry_allowed_length=4,
    dry_penalty_last_n=1024,
)
SAMPLINGS = {"v1": PLAIN, "v1.1": CALMER}


def called(model: ModelRecord) -> str:
    """What its versions call it."""
    return f"{model.name}@{model.sha256[:DIGITS]}"


def most_tokens(
    model: ModelRecord | None, tokens_in: int | None, tokens_out: int | None
) -> tuple[int, int]:
    """The most tokens in and out of a version for which nothing or one of them was said. Of a
    slot's tokens three quarters may be prompt and a quarter answer, so that both fit whatever is
    sent."""
    if model is None:
        return tokens_in or TOKENS, tokens_out or TOKENS
    if tokens_in is None:
        tokens_in = model.slot_context - (tokens_out or max(1, model.slot_context // 4))
    return max(1, tokens_in), tokens_out or max(1, model.slot_context - tokens_in)


def version_of(
    model: ModelRecord, now_us: int, name: str, *, sampling: Sampling = ITS_OWN
) -> Version:
    tokens_in, tokens_out = most_tokens(model, None, None)
    if house.is_own(model):
        # Programs ask for hundreds of tokens without needing them. It stops after a few dozen, and
        # for good where its context is full.
        tokens_out = TOKENS
    return Version(
        number=0,
        name=name,
        engine=model.name,
        engine_model=called(model),
        created_at_us=now_us,
        sampling=sampling,
        max_input_tokens=tokens_in,
        max_output_tokens=tokens_out,
        tokenizer=ENGINE_COUNTS,
        count="exact",
        price=Price(0, 0),  # It is the operator's own machine that pays.
    )
