"""The client against real HTTP servers on loopback that answer late, out of order, badly, or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from scripted_server import MODEL, picture, scripted_server

from internvid.chat_server import ChatServer, NoAnswer, Question, Refused, wait_seconds
from internvid.text.generated import EmptyAnswer, Generated

SCRIPTED = Path(__file__).parents[1] / "scripted_server.py"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def client(url: str, **settings: Any) -> ChatServer:
    return ChatServer(url, MODEL, **{"first_wait_seconds": 0.02, "timeout_seconds": 10.0, **settings})


def pictures(count: int) -> list[Question]:
    return [Question("What is this?", [picture(number)]) for number in range(count)]


def told(answers: list[Generated | Exception]) -> list[str]:
    """The text of an answer, the class of an error."""
    return [answer.text if isinstance(answer, Generated) else type(answer).__name__ for answer in answers]


@contextmanager
def server_process(late: float) -> Iterator[tuple[subprocess.Popen, str]]:
    process = subprocess.Popen([sys.executable, str(SCRIPTED), str(late)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def test_answers_that_come_out_of_order_stand_with_their_own_pictures() -> None:
    with scripted_server(late=lambda about: int(about.split()[1]) * 7 % 10 / 50) as server:
        answers = client(server.url, concurrency=12).ask(pictures(40))
    assert server.answered != [f"picture {number}" for number in range(40)], "they came in order"
    assert told(answers) == [f"picture {number}" for number in range(40)]


def test_each_question_ends_with_its_own_answer_or_its_own_error() -> None:
    script = {
        "picture 1": [429, 503],
        "picture 2": [500],
        "picture 3": ["cut off", "no json", "reset"],
        "picture 4": ["blocked"],
        "picture 5": ["refusal"],
        "picture 6": ["empty"],
        "picture 7": ["truncated"],
        "picture 8": [400],
        "picture 9": [500, 502, 503, 504, 500],
        "picture 10": ["parts"],
        "picture 11": [400, 400],
        "picture 12": [422],
        "picture 13": ["filtered"],
    }
    with scripted_server(script, late=lambda about: 0.03) as server:
        answers = client(server.url, concurrency=5).ask(pictures(16))
    said = {0, 1, 2, 3, 7, 14, 15}
    errors = {
        4: "Blocked",
        5: "Blocked",
        13: "Blocked",
        6: "EmptyAnswer",
        9: "NoAnswer",
        **dict.fromkeys((8, 11, 12), "Refused"),
    }
    expected = {number: f"picture {number}" for number in said} | errors | {10: "picture 10 in parts"}
    assert told(answers) == [expected[number] for number in range(16)]
    assert answers[7] == Generated("picture 7", "truncated", 11, 2)
    assert answers[14] == Generated("picture 14", "success", 11, 2)
    tries = {number: len(server.tries[f"picture {number}"]) for number in range(16)}
    assert tries == dict.fromkeys(range(16), 1) | {1: 3, 2: 2, 3: 4, 9: 4}
    assert "504" in str(answers[9])
    assert "scripted 504" in str(answers[9])


def test_never_more_questions_are_under_way_than_allowed() -> None:
    script = {f"picture {number}": [503] for number in range(0, 40, 3)}
    with scripted_server(script, late=lambda about: 0.02) as server:
        client(server.url, concurrency=4).ask(pictures(40))
        assert server.max_under_way == 4


def test_a_try_that_comes_after_retry_after_comes_no_earlier() -> None:
    with scripted_server({"picture 0": [(429, {"Retry-After": "1"})]}) as server:
        assert told(client(server.url).ask(pictures(1))) == ["picture 0"]
    first, second = server.tries["picture 0"]
    assert 1.0 <= second - first < 2.0


def test_retry_after_may_be_a_date() -> None:
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    with scripted_server({"picture 0": [(503, {"Retry-After": format_datetime(then, usegmt=True)})]}) as server:
        assert told(client(server.url).ask(pictures(1))) == ["picture 0"]
    assert datetime.now(UTC) >= then


def test_waits_grow_and_are_never_longer_than_a_minute() -> None:
    for attempt, most in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0)):
        waits = {wait_seconds(attempt, 1.0, asked_for=0.0) for _ in range(50)}
        assert 0.5 * most <= min(waits) < max(waits) <= most
    assert wait_seconds(20, 1.0, asked_for=0.0) == 60.0
    assert wait_seconds(1, 1.0, asked_for=3600.0) == 60.0


def test_an_answer_that_drips_in_without_end_is_given_up_in_time() -> None:
    with scripted_server({"picture 0": ["drip", "drip"]}) as server:
        started = time.monotonic()
        (answer,) = client(server.url, timeout_seconds=0.4, tries=2).ask(pictures(1))
    assert time.monotonic() - started < 2.0
    assert isinstance(answer, NoAnswer)
    assert "no answer within 0.4 s" in str(answer)


def test_a_question_that_always_fails_does_not_make_the_server_gone() -> None:
    script = {f"picture {number}": [500] * 4 for number in (0, 1, 3, 4)}
    with scripted_server(script) as server:
        answers = client(server.url, concurrency=1).ask(pictures(8))
    expected = [f"picture {number}" for number in range(8)]
    assert told(answers) == ["NoAnswer"] * 2 + expected[2:3] + ["NoAnswer"] * 2 + expected[5:]


def test_a_server_that_is_killed_ends_in_tries_and_then_clear_errors_within_seconds() -> None:
    with server_process(late=0.1) as (process, url):
        chat = client(url, concurrency=4, first_wait_seconds=0.2)
        with ThreadPoolExecutor(1) as elsewhere:
            asked = elsewhere.submit(chat.ask, [Question("say", [picture(n % 50)]) for n in range(200)])
            time.sleep(1.0)
            process.send_signal(signal.SIGKILL)
            killed = time.monotonic()
            answers = asked.result(timeout=30)
        assert 0.5 < time.monotonic() - killed < 5.0, "neither without tries nor for long"
        count = next(n for n, answer in enumerate(answers) if isinstance(answer, NoAnswer))
        assert count > 4, "it answered before it was killed"
        assert all(
            isinstance(answer, Generated) and answer.text == f"picture {n}" for n, answer in enumerate(answers[:count])
        )
        assert all(isinstance(answer, NoAnswer) for answer in answers[count:])
        assert told(answers)[-1] == "ServerGone"
        assert isinstance(answers[-1], ConnectionError), "what is tried again later"
        assert "ConnectError" in str(answers[-1])

        started = time.monotonic()
        assert set(told(chat.ask(pictures(50)))) == {"ServerGone"}
        assert time.monotonic() - started < 0.5, "the next questions know that it is gone"


def test_who_waits_for_a_next_try_is_told_that_the_server_is_gone() -> None:
    script = {"picture 0": [(503, {"Retry-After": "30"})], **{f"picture {number}": [500] * 2 for number in range(1, 6)}}
    with scripted_server(script) as server:
        started = time.monotonic()
        answers = client(server.url, tries=2, concurrency=4).ask(pictures(6))
    assert time.monotonic() - started < 5.0
    assert set(told(answers)) == {"NoAnswer", "ServerGone"}
    assert "is gone" in str(answers[0])
    assert len(server.tries["picture 0"]) == 1


def test_a_server_that_comes_back_is_asked_again() -> None:
    script = {f"picture {number}": [503] * 2 for number in range(3)}
    with scripted_server(script) as server:
        chat = client(server.url, tries=2, gone_seconds=0.3)
        assert set(told(chat.ask(pictures(3)))) == {"NoAnswer", "ServerGone"}
        assert set(told(chat.ask(pictures(3)))) == {"ServerGone"}
        assert sum(map(len, server.tries.values())) == 6, "it was left alone"
        time.sleep(0.3)
        assert told(chat.ask(pictures(3))) == [f"picture {number}" for number in range(3)]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "Set the environment variable CHAT_KEY"),
        (403, "Set the environment variable CHAT_KEY"),
        (404, "mostly with /v1"),
        (413, "fewer pictures at once"),
        (422, 'every parameter of {"max_tokens": 7}'),
        (307, "set url to where it is"),
        (501, "every parameter"),
    ],
)
def test_a_refusal_is_not_asked_again_and_says_what_to_do(
    status: int, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_KEY", "secret-1")
    with scripted_server({"picture 0": [status, status]}) as server:
        (answer,) = client(server.url, key_variable="CHAT_KEY", parameters={"max_tokens": 7}).ask(pictures(1))
    assert isinstance(answer, Refused)
    assert f"answers {status}" in str(answer)
    assert f"scripted {status}" in str(answer)
    assert advice in str(answer)
    assert len(server.tries["picture 0"]) == 1


def test_the_key_is_of_the_environment_and_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_KEY", " secret-1\n")  # as `export CHAT_KEY=$(cat file)` and the like leave it
    with scripted_server({"picture 0": [400, 400]}) as server:
        chat = client(server.url, key_variable="CHAT_KEY")
        chat.ask(pictures(1))
        assert server.headers[-1]["Authorization"] == "Bearer secret-1"
        monkeypatch.setenv("CHAT_KEY", "scripted")  # what the server says of itself
        (answer,) = chat.ask(pictures(1))
        assert "… 400" in str(answer)
        asked = len(server.headers)
        for unusable in ("", "two\nlines", "schlüssel"):
            monkeypatch.setenv("CHAT_KEY", unusable)
            answers = chat.ask(pictures(2))
            assert told(answers) == ["Refused", "Refused"]
            assert "CHAT_KEY" in str(answers[0])
            assert not unusable or unusable not in str(answers[0])
        assert len(server.headers) == asked


def test_what_is_sent_is_the_pictures_as_they_are_then_the_text_and_the_parameters() -> None:
    with scripted_server() as server:
        parameters = {"max_tokens": None, "max_completion_tokens": 9, "temperature": 0.0, "seed": 0}
        (answer,) = client(server.url, parameters=parameters).ask([Question("And now?", [picture(3), picture(4)])])
        client(server.url).ask([Question("Only words")])
        assert "Authorization" not in server.headers[-1]
    assert told([answer]) == ["picture 3 picture 4"]
    with_pictures, text_alone = server.bodies
    assert text_alone == {"model": MODEL, "messages": [{"role": "user", "content": "Only words"}]}
    content = with_pictures.pop("messages")[0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert content[2]["text"] == "And now?"
    assert with_pictures == {"model": MODEL, "max_completion_tokens": 9, "temperature": 0.0, "seed": 0}


def test_the_model_is_called_as_the_server_calls_it() -> None:
    with scripted_server() as server:
        chat = client(server.url)
        assert chat.answered_by is None
        chat.ask(pictures(1))
        assert chat.answered_by == f"{MODEL}-2026"
        assert chat.models() == [MODEL]


def test_nothing_asked_is_nothing_answered() -> None:
    assert client("http://127.0.0.1:1/v1").ask([]) == []


def test_it_can_be_asked_where_an_event_loop_runs_as_in_a_notebook() -> None:
    import asyncio

    async def in_a_notebook(url: str) -> list[Generated | Exception]:
        return client(url).ask(pictures(2))

    with scripted_server() as server:
        assert told(asyncio.run(in_a_notebook(server.url))) == ["picture 0", "picture 1"]


def test_an_empty_answer_says_how_it_ended() -> None:
    with scripted_server({"picture 0": ["empty"]}) as server:
        (answer,) = client(server.url).ask(pictures(1))
    assert isinstance(answer, EmptyAnswer)
    assert "stop" in str(answer)


def test_keys_of_another_service_in_the_environment_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-another")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "secret-of-another")
    monkeypatch.setenv("OPENAI_ORG_ID", "secret-of-another")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "secret-of-another")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer secret-of-another\nX-More: secret-of-another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("CHAT_KEY", "secret-1")
    with scripted_server() as server:
        assert told(client(server.url).ask(pictures(1))) == ["picture 0"]
        assert client(server.url).models() == [MODEL]
        assert not any("Authorization" in headers for headers in server.headers)
        assert told(client(server.url, key_variable="CHAT_KEY").ask(pictures(1))) == ["picture 0"]
    assert server.headers[-1]["Authorization"] == "Bearer secret-1"
    assert "secret-of-another" not in str(server.headers)


def test_no_key_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CHAT_KEY", "secret-1")
    caplog.set_level("DEBUG")
    with scripted_server({"picture 0": [401]}) as server:
        client(server.url, key_variable="CHAT_KEY").ask(pictures(2))
    assert server.headers[-1]["Authorization"] == "Bearer secret-1"
    assert "POST" in caplog.text
    assert "secret-1" not in caplog.text
