"""The versions of a model of this machine: as it answers by itself, and what stands behind `v1`
and `v1.1` (R8)."""

from keyhall.policy.catalogue import ENGINE_COUNTS, Price, Sampling, Version
from keyhall.ports.records import ModelRecord

DIGITS = 12  # of the file's SHA-256: another file under an old name is another model
ITS_OWN = Sampling()  # what the engine does unasked
# Fixed before anything was measured, so that v1.1 has something to be compared with.
PLAIN = Sampling(temperature=0.7, top_p=1.0)
CALMER = Sampling(temperature=0.7, top_p=1.0, frequency_penalty=0.3, presence_penalty=0.2)
SAMPLINGS = {"v1": PLAIN, "v1.1": CALMER}


def version_of(
    model: ModelRecord, now_us: int, name: str, *, sampling: Sampling = ITS_OWN
) -> Version:
    """Of a slot's tokens three quarters may be prompt and a quarter answer, so that both fit
    whatever is sent."""
    return Version(
        number=0,
        name=name,
        engine=model.name,
        engine_model=f"{model.name}@{model.sha256[:DIGITS]}",
        created_at_us=now_us,
        sampling=sampling,
        max_input_tokens=max(1, model.slot_context * 3 // 4),
        max_output_tokens=max(1, model.slot_context // 4),
        tokenizer=ENGINE_COUNTS,
        count="exact",
        price=Price(0, 0),  # It is the operator's own machine that pays.
    )
