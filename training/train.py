"""Train the house model: `python -m training.train --to training/out --minutes 60`.

Bounded by time, resumable: everything that is needed to go on is in the checkpoint, which is
written every few minutes and at the end. The rate of learning falls over the minutes that were
asked for, those of earlier runs of the same folder included.
"""

import argparse
import json
import math
import os
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from training.corpus import conversations, pages
from training.data import Sequence, batches
from training.model import House, Shape
from training.tokenizer import Tokenizer, learn

VOCABULARY = 3072
LEARNT_FROM = 30_000  # conversations that the vocabulary is learned from
WARM_UP_STEPS = 100
LEAST_RATE = 0.02  # of the highest


def tokenizer_of(folder: Path, seed: int) -> Tokenizer:
    """The folder's tokenizer; learned first where there is none."""
    path = folder / "tokenizer.json"
    if not path.exists():
        print("Learning the vocabulary …", flush=True)
        texts = [turn.text for text in conversations(seed, LEARNT_FROM) for turn in text.turns]
        texts += [text for _, text in pages()]
        Tokenizer(learn(texts, VOCABULARY)).save(path)
    return Tokenizer.load(path)


def tensors(batch: list[Sequence], pad: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens in, tokens to predict, and how much each counts."""
    length = max(len(each.tokens) for each in batch)
    tokens = torch.full((len(batch), length), pad, dtype=torch.long)
    weights = torch.zeros((len(batch), length))
    for row, each in enumerate(batch):
        tokens[row, : len(each.tokens)] = torch.tensor(each.tokens)
        weights[row, : len(each.weights)] = torch.tensor(each.weights)
    tokens, weights = tokens.to(device), weights.to(device)
    return tokens[:, :-1], tokens[:, 1:], weights[:, 1:]


def loss_of(model: House, tokens: Tensor, expected: Tensor, weights: Tensor) -> Tensor:
    hidden = model(tokens)
    counts = weights > 0  # scores of a vocabulary are dear: only where something is learned
    scores = model.scores(hidden[counts]).float()
    each = functional.cross_entropy(scores, expected[counts], reduction="none")
    return (each * weights[counts]).sum() / weights[counts].sum()


def rate_at(share: float, step: int, highest: float) -> float:
    """Warm-up in steps, then a cosine over the time."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return highest * warm * (LEAST_RATE + (1 - LEAST_RATE) * cosine)


class Optimizers:
    """Muon for the matrices of the blocks, AdamW for the rest: Muon learns as much from about half
    of the text, which is what a CPU has least of."""

    def __init__(self, model: House) -> None:
        blocks = [weight for weight in model.blocks.parameters() if weight.dim() == 2]
        inside = {id(weight) for weight in blocks}
        others = [weight for weight in model.parameters() if id(weight) not in inside]
        self.each: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(blocks, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
        )

    def step(self, rate: float) -> None:
        for optimizer in self.each:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self.each]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self.each, states, strict=True):
            optimizer.load_state_dict(state)


def save(folder: Path, model: House, optimizer: Optimizers, state: dict[str, Any]) -> None:
    path = folder / "checkpoint.pt"
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "shape": asdict(model.shape),
            "state": state,
        },
        path.with_suffix(".part"),
    )
    os.replace(path.with_suffix(".part"), path)


def run(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.to
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    tokenizer = tokenizer_of(folder, arguments.seed)
    shape = Shape(len(tokenizer), arguments.width, arguments.layers, arguments.heads,
                  arguments.inner)  # fmt: skip
    model = House(shape).to(arguments.device)
    optimizer = Optimizers(model)
    state: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
    if arguments.begin_with is not None:
        model.load_state_dict(torch.load(arguments.begin_with, map_location="cpu")["model"])
    if (folder / "checkpoint.pt").exists():
        kept = torch.load(folder / "checkpoint.pt", map_location=arguments.device)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        state = kept["state"]
        print(f"Going on from step {state['step']}", flush=True)
    print(f"{model.parameters_count():,} parameters, {len(tokenizer):,} tokens", flush=True)
    # A resumed run draws new text: seeds go on, batches that were seen do not come again.
    source = batches(tokenizer, arguments.seed + state["step"], shape.context,
                     arguments.batch_tokens, at_length=arguments.at_length)  # fmt: skip
    if arguments.compile:
        model.compile(dynamic=True)
    learn_on(model, optimizer, source, tokenizer, state, arguments)


def learn_on(model, optimizer, source, tokenizer, state, arguments) -> None:  # type: ignore[no-untyped-def]
    began = noted = saved = time.monotonic()
    before = state["seconds"]
    whole = arguments.minutes * 60
    loss_sum, count, tokens = 0.0, 0, 0
    while state["seconds"] < whole and state["step"] < arguments.steps:
        batch = next(islice(source, 1))
        rate = rate_at(state["seconds"] / whole, state["step"], arguments.rate)
        given, expected, weights = tensors(batch, tokenizer.stop, arguments.device)
        with torch.autocast(arguments.device, torch.bfloat16):
            loss = loss_of(model, given, expected, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate)
        state["step"] += 1
        loss_sum, count, tokens = loss_sum + loss.detach(), count + 1, tokens + given.numel()
        now = time.monotonic()
        state["seconds"] = before + now - began
        if now - noted > arguments.note_seconds:
            state["tokens"] += tokens
            mean = float(loss_sum) / count
            print(
                f"step {state['step']:>6}  {state['seconds'] / 60:5.1f} min  loss {mean:.4f}  "
                f"{tokens / (now - noted):,.0f} tokens/s  rate {rate:.2e}",
                flush=True,
            )
            with (arguments.to / "log.jsonl").open("a") as log:
                log.write(json.dumps({**state, "loss": mean}) + "\n")
            loss_sum, count, tokens, noted = 0.0, 0, 0, now
        if now - saved > arguments.save_minutes * 60:
            save(arguments.to, model, optimizer, state)
            saved = now
    save(arguments.to, model, optimizer, state)
    print(f"Done: step {state['step']}, {state['seconds'] / 60:.1f} min", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("training/out"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=1 << 60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--inner", type=int, default=704)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch-tokens", type=int, default=3072)
    parser.add_argument("--begin-with", type=Path, help="a checkpoint whose weights to begin with")
    parser.add_argument("--at-length", action="store_true", help="learn to talk at length instead")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler on a CPU")
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--note-seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if hasattr(os, "nice"):
        os.nice(max(0, 10 - os.nice(0)))  # who trains at home wants to go on working
    run(arguments)


if __name__ == "__main__":
    main()
