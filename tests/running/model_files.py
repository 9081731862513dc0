"""Model files that tests make: small, of random weights, right in every byte of their header."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As those of Qwen and Hermes: what llama.cpp takes for calls of tools.
TOOLS_TEMPLATE = """{%- if tools %}<|im_start|>system
# Tools
<tools>{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
</tools>
Answer a call as <tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}{% for m in messages %}{% if m.role == "assistant" and m.tool_calls -%}
<|im_start|>assistant
{{ m.content }}{% for call in m.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% elif m.role == "tool" %}<|im_start|>user
<tool_response>
{{ m.content }}
</tool_response><|im_end|>
{% else %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
CALL = "<tool_call>"  # is one token, the last before the special ones
MERGED = ["he", "ll", "th", "\u0120t"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
LAYERS, WIDTH, HEADS = 2, 64, 4


def _letters() -> list[str]:
    """A token for each byte, written as byte-level BPE writes them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    names = {byte: chr(byte) for byte in plain}
    names |= {byte: chr(256 + number) for number, byte in enumerate(others)}
    return [names[byte] for byte in range(256)]


def make_model(
    path: Path,
    *,
    name: str = "Tiny Test",
    context: int = 2048,
    template: str | None = TEMPLATE,
    architecture: str = "llama",
    seed: int = 1,
    kind: str | None = None,
    layers: int = LAYERS,
    width: int = WIDTH,
    calls: bool = False,
    **metadata: Any,
) -> Path:
    """Write a llama that llama.cpp loads and that says nonsense, of 116,000 weights unless it is to
    be larger; with `calls` there is a token for calls of tools. `metadata` are further whole
    numbers or texts, by their keys with `__` for a dot."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name(name)
    writer.add_license("apache-2.0")
    if kind is not None:
        writer.add_type(kind)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for key, value in metadata.items():
        add = writer.add_string if isinstance(value, str) else writer.add_uint32
        add(key.replace("__", "."), value)
    tokens = [*_letters(), *MERGED, *([CALL] if calls else []), *SPECIAL]
    ordinary = [gguf.TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    if calls:
        ordinary[-1] = gguf.TokenType.USER_DEFINED
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([*ordinary, *[gguf.TokenType.CONTROL] * len(SPECIAL)])
    writer.add_token_merges(["h e", "l l", "t h", "\u0120 t"])
    writer.add_eos_token_id(len(tokens) - 2)
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    if template is not None:
        writer.add_chat_template(template)
    _weights(writer, len(tokens), seed, layers, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _weights(writer: gguf.GGUFWriter, vocabulary: int, seed: int, layers: int, width: int) -> None:
    drawn = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        values = drawn.standard_normal(shape) * 0.1
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))

    add("token_embd", vocabulary, width)
    norm("output_norm")
    add("output", vocabulary, width)
    for layer in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}", width, width)
        add(f"blk.{layer}.ffn_gate", 2 * width, width)
        add(f"blk.{layer}.ffn_up", 2 * width, width)
        add(f"blk.{layer}.ffn_down", width, 2 * width)
        norm(f"blk.{layer}.attn_norm")
        norm(f"blk.{layer}.ffn_norm")
