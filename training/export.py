"""Write a checkpoint as GGUF: `python -m training.export --from training/out --as q8_0`.

The file holds the tokenizer, the chat template and the weights; `--check` compares what llama.cpp
makes of it with what PyTorch does, token by token.
"""

import argparse
from pathlib import Path
from typing import Any

import gguf
import numpy
import torch

from training.model import House, Shape
from training.tokenizer import TEMPLATE, Tokenizer

NAME = "Keyhall house model"
TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def load(folder: Path) -> tuple[House, Tokenizer]:
    kept = torch.load(folder / "checkpoint.pt", map_location="cpu")
    model = House(Shape(**kept["shape"]))
    model.load_state_dict(kept["model"])
    return model.eval(), Tokenizer.load(folder / "tokenizer.json")


def _tensors(model: House) -> dict[str, torch.Tensor]:
    """Weights by the names that llama.cpp knows."""
    found = {
        "token_embd.weight": model.embedding.weight,
        "output_norm.weight": model.norm.weight,
    }
    for number, block in enumerate(model.blocks):
        q, k, v = block.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        parts = {
            "attn_norm": block.attention_norm.weight,
            "attn_q": q,
            "attn_k": k,
            "attn_v": v,
            "attn_output": block.out.weight,
            "ffn_norm": block.feed_norm.weight,
            "ffn_gate": gate,
            "ffn_up": up,
            "ffn_down": block.down.weight,
        }
        found.update({f"blk.{number}.{name}.weight": part for name, part in parts.items()})
    return found


def _describe(writer: gguf.GGUFWriter, shape: Shape, tokenizer: Tokenizer) -> None:
    writer.add_name(NAME)
    writer.add_description("Answers questions about Keyhall only.")
    writer.add_license("Apache-2.0")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    special = {tokenizer.start, tokenizer.end, tokenizer.stop}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(
        [
            gguf.TokenType.CONTROL if number in special else gguf.TokenType.NORMAL
            for number in range(len(tokenizer))
        ]
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_eos_token_id(tokenizer.end)
    writer.add_bos_token_id(tokenizer.stop)
    writer.add_pad_token_id(tokenizer.stop)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def write(model: House, tokenizer: Tokenizer, path: Path, kind: str) -> None:
    """Vectors stay in full; matrices are stored as `kind`."""
    quantization, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer, model.shape, tokenizer)
    writer.add_file_type(file_type)
    for name, weight in _tensors(model).items():
        data: numpy.ndarray[Any, Any] = weight.detach().float().numpy()
        if data.ndim == 2 and kind != "f32":
            stored = gguf.quants.quantize(data, quantization)
            writer.add_tensor(name, stored, raw_dtype=quantization)
        else:
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def greedy(model: House, prompt: list[int], end: int, most: int = 120) -> list[int]:
    """What PyTorch answers at temperature 0."""
    numbers = list(prompt)
    while len(numbers) < min(model.shape.context, len(prompt) + most):
        hidden = model(torch.tensor([numbers]))
        best = int(model.scores(hidden[0, -1]).argmax())
        if best == end:
            break
        numbers.append(best)
    return numbers[len(prompt) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="folder", type=Path, default=Path("training/out"))
    parser.add_argument("--to", type=Path, help="default: house-KIND.gguf in the folder")
    parser.add_argument("--as", dest="kind", choices=TYPES, default="q8_0")
    parser.add_argument("--check", action="store_true", help="compare with llama.cpp (xllamacpp)")
    arguments = parser.parse_args()
    model, tokenizer = load(arguments.folder)
    path = arguments.to or arguments.folder / f"house-{arguments.kind}.gguf"
    write(model, tokenizer, path, arguments.kind)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {model.parameters_count():,} parameters")
    if arguments.check:
        from training.check_export import check

        check(model, tokenizer, path, exact=arguments.kind != "q8_0")


if __name__ == "__main__":
    main()
