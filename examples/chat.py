"""A conversation in the terminal that remembers what was said.

    export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=sk-kh_live_…
    python examples/chat.py

An empty line or the end of input ends it. The server leaves out older turns once they no longer
fit (`truncation: "auto"`); what went is told.
"""

from openai import OpenAI


def main() -> None:
    messages = [{"role": "system", "content": "You answer in one sentence."}]
    with OpenAI() as client:
        while question := read_line():
            messages.append({"role": "user", "content": question})
            raw = client.chat.completions.with_raw_response.create(
                model="v1", messages=messages, extra_body={"truncation": "auto"}
            )
            if left_out := raw.headers.get("x-keyhall-truncated"):
                print(f"(left out: {left_out})")
            answer = raw.parse()
            text = answer.choices[0].message.content
            messages.append({"role": "assistant", "content": text})
            usage = answer.usage
            print(text)
            print(f"({usage.prompt_tokens} tokens in, {usage.completion_tokens} out)")


def read_line() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


if __name__ == "__main__":
    main()
