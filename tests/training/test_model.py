"""The house model's own parts, where PyTorch is installed: training/requirements.txt."""

from pathlib import Path

import pytest

WHY = "needs training/requirements.txt (PyTorch, gguf); the house model's code is not tested"
torch = pytest.importorskip("torch", reason=WHY)
pytest.importorskip("gguf", reason=WHY)

from training.corpus import conversations  # noqa: E402
from training.data import batches, written  # noqa: E402
from training.export import greedy, load, write  # noqa: E402
from training.model import House, Shape, attended  # noqa: E402
from training.tokenizer import Tokenizer, learn  # noqa: E402
from training.train import Optimizers, loss_of, rate_at, save, tensors  # noqa: E402

TEXTS = list(conversations(1, 100))
TOKENIZER = Tokenizer(learn([turn.text for text in TEXTS for turn in text.turns], 400))
SHAPE = Shape(len(TOKENIZER), width=32, layers=2, heads=2, inner=64, context=128)


def test_attention_written_out_is_pytorchs_own() -> None:
    torch.manual_seed(1)
    q, k, v = torch.randn(3, 2, 4, 9, 8).unbind(0)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(attended(q, k, v), expected, atol=1e-6)


def test_a_token_does_not_depend_on_what_comes_later() -> None:
    model = House(SHAPE).eval()
    one = model(torch.tensor([[1, 2, 3, 4]]))
    other = model(torch.tensor([[1, 2, 9, 9]]))
    assert torch.allclose(one[:, :2], other[:, :2], atol=1e-6)


def test_only_what_is_said_is_learned_and_answers_most() -> None:
    text = next(text for text in TEXTS if len(text.turns) == 2)
    sequence = written(text, TOKENIZER, 512)
    answer = [*TOKENIZER.encode(text.turns[1].text), TOKENIZER.end]
    assert [token for token, weight in zip(sequence.tokens, sequence.weights, strict=True)
            if weight >= 1.0] == answer  # fmt: skip


def test_it_learns_a_few_sentences_and_says_them_after_a_restart(tmp_path: Path) -> None:
    torch.manual_seed(2)
    text = next(text for text in TEXTS if len(text.turns) == 2)
    batch = [written(text, TOKENIZER, SHAPE.context)]
    model = House(SHAPE)
    optimizer = Optimizers(model)
    for _ in range(120):
        loss = loss_of(model, *tensors(batch, TOKENIZER.stop, "cpu"))
        loss.backward()
        optimizer.step(5e-3)
    save(tmp_path, model, optimizer, {"step": 120})
    TOKENIZER.save(tmp_path / "tokenizer.json")
    again, tokenizer = load(tmp_path)
    prompt = tokenizer.prompt([("user", text.turns[0].text)])
    said = tokenizer.decode(greedy(again, prompt, tokenizer.end))
    assert said == text.turns[1].text
    for kind in ("f16", "q8_0"):
        write(again, tokenizer, tmp_path / f"{kind}.gguf", kind)
        assert (tmp_path / f"{kind}.gguf").read_bytes()[:4] == b"GGUF"


def test_batches_are_bounded_and_the_same_for_a_seed() -> None:
    drawn = [next(batches(TOKENIZER, 3, 128, 2_000)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    longest = max(len(each.tokens) for each in drawn[0])
    assert longest * len(drawn[0]) <= 2_000


def test_the_rate_warms_up_and_falls() -> None:
    assert rate_at(0.0, 0, 1.0) < 0.02
    assert rate_at(0.1, 500, 1.0) > rate_at(0.5, 5_000, 1.0) > rate_at(1.0, 9_000, 1.0) > 0
