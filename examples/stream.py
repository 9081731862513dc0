"""Print an answer while it is written, then what it cost in tokens.

export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=sk-kh_live_…
python examples/stream.py "Tell me a short story."
"""

import sys

from openai import OpenAI


def main(question: str) -> None:
    with (
        OpenAI() as client,
        client.chat.completions.create(
            model="v1",
            messages=[{"role": "user", "content": question}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream,
    ):
        for chunk in stream:
            for choice in chunk.choices:
                print(choice.delta.content or "", end="", flush=True)
            if chunk.usage:  # The last chunk: no choices, only usage.
                print(f"\n({chunk.usage.total_tokens} tokens, answered by {chunk.model})")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "Tell me a short story.")
