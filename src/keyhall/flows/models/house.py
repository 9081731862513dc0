"""The house model: small, trained by the project on what it wrote about Keyhall, in the package.

It stands behind `v1` and `v1.1` where the operator gave nothing better, so that a fresh machine
without a network answers from a real model. What it is, knows and scored: `MODEL_CARD.md` beside
its file.
"""

from pathlib import Path

from keyhall.config import Config
from keyhall.engines import local
from keyhall.engines.local import process
from keyhall.flows.models import files
from keyhall.flows.models.files import State
from keyhall.ports.records import ModelRecord
from keyhall.stores.sql import SqlStore

HOUSE = "house"  # the engine's name
FOLDER = Path(local.__file__).parent / "house"

RECORD = ModelRecord(
    name=HOUSE,
    path=str(FOLDER / "house-1.gguf"),
    sha256="a29723772dcdc4973b185a4ce0c9cd990698b25844a85e0d35073bc2f459f772",
    size=6_065_920,
    architecture="llama",
    parameters=5_606_656,
    context=512,
    has_template=True,
    slots=4,
    slot_context=512,
    threads=None,
    shares_prefixes=False,
    created_at_us=1_795_824_000_000_000,  # 2026-11-28, when it was trained
)
COMES_WITH_KEYHALL = (
    "comes with Keyhall: KEYHALL_MODELS_HOUSE=false, or house = false under [models], "
    "switches it off"
)


def of(config: Config) -> ModelRecord | None:
    """The house model, if it is wanted and can run here."""
    return RECORD if config.models.house and process.can_run() else None


async def all_models(store: SqlStore, config: Config) -> list[ModelRecord]:
    """What the operator added, and the house model unless something else has its name."""
    found = await store.list_models()
    own = of(config)
    if own is not None:
        taken = {model.name for model in found}
        taken.update(engine.name for engine in await store.list_engines())
        found += [] if HOUSE in taken else [own]
    return found


def is_own(record: ModelRecord) -> bool:
    return record.path == RECORD.path


def state(record: ModelRecord) -> State:
    """As `files.state_of`; the times of what came with the package mean nothing."""
    found = files.state_of(record)
    return "ok" if found == "touched" and is_own(record) else found


def stand(record: ModelRecord) -> tuple[bool, int, str]:
    """Which of several models stands behind `v1`: the least. What the operator added first does."""
    return is_own(record), record.created_at_us, record.name
