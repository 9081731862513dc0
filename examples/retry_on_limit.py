"""Ask many questions with a small key: wait exactly as long as the server says, never longer.

    export OPENAI_BASE_URL=http://127.0.0.1:8484/v1 OPENAI_API_KEY=sk-kh_live_…
    python examples/retry_on_limit.py 25

The official client retries twice by itself. This program switches that off and keeps to the
server's own words: `retry-after-ms` is when there is room, and `x-should-retry: false` means that
no wait will help.
"""

import sys
import time

from openai import OpenAI, RateLimitError

WAIT_SECONDS_MAX = 61.0  # No wait is longer than the window of 60 s.


def ask(client: OpenAI, question: str) -> str:
    deadline = time.monotonic() + 2 * WAIT_SECONDS_MAX
    while True:
        try:
            answer = client.chat.completions.create(
                model="v1", messages=[{"role": "user", "content": question}], max_tokens=50
            )
            return answer.choices[0].message.content or ""
        except RateLimitError as error:
            headers = error.response.headers
            if headers.get("x-should-retry") == "false" or time.monotonic() > deadline:
                raise
            wait_seconds = min(int(headers["retry-after-ms"]) / 1000, WAIT_SECONDS_MAX)
            print(f"full; waiting {wait_seconds:.1f} s ({error.code})")
            time.sleep(wait_seconds)


def main(questions: int) -> None:
    with OpenAI(max_retries=0) as client:
        for number in range(1, questions + 1):
            print(number, ask(client, f"What is {number} times {number}?"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
