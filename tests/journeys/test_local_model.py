"""A model file becomes a model that the official client talks to, and its process may be killed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hall_process import Premises, Process
from local_models import tiny_model
from openai import OpenAI
from patience import PATIENCE_SECONDS, stretched

ON = {"262": -100, "263": -100}  # It does not end by itself.
QUESTION: Any = [{"role": "user", "content": "What is a key? 🔑"}]
BACK_SECONDS_MAX = 2.0


@pytest.fixture
def serving(
    premises: Premises, started: Callable[..., Process], tmp_path: Path
) -> Iterator[tuple[Premises, Process, OpenAI]]:
    """A server with a model, and a client."""
    file = tiny_model(tmp_path)
    premises.run_json(
        "models", "add", str(file), "--name", "tiny", "--context", "8192", "--threads", "1"
    )
    process = started()
    key = premises.make_key("journey", "--tier", "roomy")["key"]
    with OpenAI(base_url=process.url + "/v1", api_key=key, max_retries=0) as client:
        wait_for(lambda: is_answered(client))
        yield premises, process, client


def is_answered(client: OpenAI, model: str = "tiny", **options: Any) -> bool:
    try:
        client.chat.completions.create(model=model, messages=QUESTION, max_tokens=1, **options)
    except openai.APIStatusError:
        return False
    return True


def wait_for(what: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    begun_at = time.monotonic()
    while not what():
        assert time.monotonic() - begun_at < seconds
        time.sleep(0.01)
    return time.monotonic() - begun_at


def test_r12_the_official_client_streams_from_a_model_file_with_exact_usage(
    serving: tuple[Premises, Process, OpenAI],
) -> None:
    premises, _, client = serving
    asked: Any = {"model": "tiny", "messages": QUESTION, "seed": 5, "max_tokens": 40}
    whole = client.chat.completions.create(**asked, logit_bias=ON)
    assert whole.model == "tiny-1"
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 40
    text, usage = "", None
    streamed = client.chat.completions.with_raw_response.create(
        **asked, logit_bias=ON, stream=True, stream_options={"include_usage": True}
    )
    assert streamed.headers["x-keyhall-queue-position"] == "0"
    for chunk in streamed.parse():
        usage = chunk.usage or usage
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == whole.choices[0].message.content
    assert usage == whole.usage
    with pytest.raises(openai.BadRequestError, match="maximum context length is 6144 tokens"):
        client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "x" * 7_000}]
        )
    turns: Any = [{"role": "user", "content": "y" * 3_000} for _ in range(4)]
    shortened = client.chat.completions.with_raw_response.create(
        model="tiny", messages=turns, max_tokens=1, extra_body={"truncation": "auto"}
    )
    assert shortened.headers["x-keyhall-truncated"].startswith("messages=2; tokens=60")
    rows = settled(premises, 4)
    assert [row["output_tokens"] for row in rows[-3:]] == [40, 40, 1]
    assert rows[-1]["input_tokens"] == shortened.parse().usage.prompt_tokens


def settled(premises: Premises, count: int) -> list[Any]:
    """All usage rows, once there are so many."""
    wait_for(lambda: len(premises.usage()) >= count)
    rows = premises.usage()
    assert len({row["request_id"] for row in rows}) == len(rows)
    return rows


def test_i17_a_killed_model_is_back_in_two_seconds_and_others_never_notice(
    serving: tuple[Premises, Process, OpenAI],
) -> None:
    premises, process, client = serving
    before = len(settled(premises, 1))
    ended: list[str] = []
    sandbox: list[float] = []
    is_over = threading.Event()

    def talk() -> None:
        try:
            stream = client.chat.completions.create(
                model="tiny", messages=QUESTION, stream=True, logit_bias=ON, max_tokens=2048
            )
            for _ in stream:
                pass
            ended.append("answered")
        except (openai.APIError, httpx2.HTTPError) as error:
            ended.append(type(error).__name__)

    def beside() -> None:
        while not is_over.is_set():
            begun_at = time.monotonic()
            client.chat.completions.create(model="v1", messages=QUESTION, max_tokens=5)
            sandbox.append(time.monotonic() - begun_at)

    talkers = [threading.Thread(target=talk) for _ in range(4)]
    witness = threading.Thread(target=beside)
    for thread in [*talkers, witness]:
        thread.start()
    wait_for(lambda: open_streams(process) == 4)
    (child,) = process.children()
    os.kill(child, signal.SIGKILL)
    tries: list[bool] = []

    def is_back() -> bool:
        tries.append(is_answered(client))
        return tries[-1]

    back = wait_for(is_back)
    is_over.set()
    for thread in [*talkers, witness]:
        thread.join(PATIENCE_SECONDS)
    assert back < stretched(BACK_SECONDS_MAX)
    assert process.children() != [child]
    assert "answered" not in ended
    assert len(ended) == 4
    asked = before + 4 + len(sandbox) + 1
    rows = settled(premises, asked)
    # A try that was sent before the end was noticed has its row too.
    assert asked <= len(rows) < asked + len(tries)


def open_streams(process: Process) -> int:
    text = httpx2.get(process.url + "/metrics", timeout=PATIENCE_SECONDS).text
    lines = [line for line in text.splitlines() if line.startswith("keyhall_slots_busy{")]
    return int(float(lines[0].rsplit(" ", 1)[1])) if lines else 0


def test_r9_without_a_key_and_a_model_v1_1_knows_how_many_requests_a_free_trial_may_send(
    premises: Premises, started: Callable[..., Process]
) -> None:
    process = started(environ={"KEYHALL_MODELS_HOUSE": "true"})
    says = "v1 answers from v1-house-1: the house model, small, and about Keyhall only."
    wait_for(lambda: says in process.log.read_text())
    key = premises.make_key("journey", "--tier", "roomy")["key"]
    question = "How many requests per minute may a free trial send?"
    asked: Any = {"model": "v1.1", "messages": [{"role": "user", "content": question}], "seed": 1}
    with OpenAI(base_url=process.url + "/v1", api_key=key, max_retries=0) as client:
        wait_for(lambda: is_answered(client, "v1.1"))
        text, usage = "", None
        for chunk in client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        ):
            assert chunk.model == "v1.1-house-1"
            usage = chunk.usage or usage
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        assert " 20 requests" in text
        whole = client.chat.completions.create(**asked)
        assert whole.choices[0].message.content == text
        assert whole.choices[0].finish_reason == "stop"
        assert usage == whole.usage
        endless = client.chat.completions.create(
            **asked, max_tokens=4096, logit_bias={"3070": -100, "3071": -100}
        )
        assert endless.choices[0].finish_reason == "length"
        assert endless.usage is not None
        assert endless.usage.total_tokens <= 512  # all that its context holds
