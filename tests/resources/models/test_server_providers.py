"""The providers to models of a server, against a real one on loopback."""

from __future__ import annotations

import json
from collections.abc import Sequence

import dagster as dg
import pytest
from pydantic import ValidationError
from scripted_server import MODEL, ScriptedServer, picture, scripted_server

from internvid.captions.measured import FrameCaption
from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption
from internvid.chat_server import NoAnswer, Refused, ServerGone
from internvid.text.generated import EmptyAnswer, Generated
from resources.incremental.faults import ModelUnavailable, ServerUnreachable, system_fault_of
from resources.incremental.retries import FailurePolicy
from resources.models.provider import Readiness
from resources.models.server_captioner import ServerCaptioner
from resources.models.server_summariser import ServerSummariser
from resources.models.server_translator import ServerTranslator
from resources.models.translator import Untranslated

MEASURES = ClipMeasures(10.0, *[0.0] * 9)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def captions(*texts: str) -> list[TimedCaption]:
    return [TimedCaption(float(second), "fine", text, None, "some model") for second, text in enumerate(texts)]


def asked(server: ScriptedServer) -> list[str]:
    """The texts that the server was asked with, in no particular order."""
    return sorted(body["messages"][0]["content"] for body in server.bodies)


# --- captioner --------------------------------------------------------------------------------------------------


def test_each_frame_gets_its_caption_or_its_error_and_the_server_s_name_for_the_model() -> None:
    with scripted_server({"picture 1": ["truncated"], "picture 2": ["empty"]}) as server:
        provider = ServerCaptioner(url=server.url, served_model=MODEL, prompt="What is this?")
        first, second, third = provider.caption([picture(0), picture(1), picture(2)])
    assert first == FrameCaption("picture 0", None, "success", 11, 2)
    assert second == FrameCaption("picture 1", None, "truncated", 11, 2)
    assert isinstance(third, EmptyAnswer)
    assert (provider.model, provider.revision, provider.device_name) == (MODEL, f"{MODEL}-2026", server.url)
    assert server.bodies[0]["messages"][0]["content"][-1] == {"type": "text", "text": "What is this?"}
    assert {name: server.bodies[0][name] for name in ("max_tokens", "temperature", "seed")} == {
        "max_tokens": 64,
        "temperature": 0.0,
        "seed": 0,
    }


def test_frames_together_are_one_question() -> None:
    with scripted_server({"picture 7": [400]}) as server:
        provider = ServerCaptioner(url=server.url, served_model=MODEL)
        assert provider.caption_together([picture(5), picture(6)]) == FrameCaption(
            "picture 5 picture 6", None, "success", 11, 4
        )
        with pytest.raises(Refused, match="scripted 400"):
            provider.caption_together([picture(7)])
        few = ServerCaptioner(url=server.url, served_model=MODEL, frames_together=2)
        assert few.caption_together([picture(number) for number in range(6)]).caption == "picture 1 picture 4"
    assert len(server.bodies) == 3
    assert "in order of time" in server.bodies[0]["messages"][0]["content"][-1]["text"]


def test_a_question_without_an_answer_is_tried_again_later_and_an_absent_server_ends_the_run() -> None:
    provider = ServerCaptioner(url="http://127.0.0.1:1/v1", served_model=MODEL, tries=1)
    answers = provider.caption([picture(0), picture(1)])
    assert [type(answer) for answer in answers] == [NoAnswer, NoAnswer]
    assert FailurePolicy().retry(NoAnswer).tries > 1
    (answer,) = provider.caption([picture(2)])
    assert isinstance(answer, ServerGone)
    assert isinstance(system_fault_of(answer), ServerUnreachable)


def test_a_server_is_asked_for_its_models_before_the_first_question() -> None:
    with scripted_server() as server:
        provider = ServerCaptioner(url=server.url, served_model=MODEL)
        provider.prepare()
        with pytest.raises(ModelUnavailable, match="set `served_model` to one that it has"):
            ServerCaptioner(url=server.url, served_model="absent").prepare()
        assert server.bodies == []
    with pytest.raises(ServerUnreachable, match="start the server, or set `url`"):
        provider.prepare()


# --- summariser -------------------------------------------------------------------------------------------------


def test_a_clip_s_captions_are_asked_about_in_one_question() -> None:
    with scripted_server() as server:
        provider = ServerSummariser(url=server.url, served_model=MODEL, template="Sum up {x}:\n{captions}")
        clips = [(MEASURES, captions("A pot.", "A {captions} stove")), (MEASURES, []), (MEASURES, captions("A dog"))]
        first, without, last = provider.summarise(clips)
    assert first == ClipSummary("stove", None, "success", 11, 1)
    assert last == ClipSummary("dog", None, "success", 11, 1)
    assert isinstance(without, ValueError)
    assert asked(server) == [
        "Sum up {x}:\n0.0 s, fine: A dog",
        "Sum up {x}:\n0.0 s, fine: A pot.\n1.0 s, fine: A {captions} stove",
    ]


def test_captions_that_are_too_long_are_summarised_in_parts_and_every_one_is_read() -> None:
    texts = [f"caption number{number:02}" for number in range(20)]
    with scripted_server({"number02": ["truncated"]}) as server:
        provider = ServerSummariser(url=server.url, served_model=MODEL, template="{captions}", characters=100)
        (summary,) = provider.summarise([(MEASURES, captions(*texts))])
    questions = asked(server)
    assert all(len(question) <= 100 for question in questions)
    lines = [line for question in questions for line in question.splitlines() if "caption" in line]
    assert sorted(line.partition(": ")[2] for line in lines) == texts, "each is read once"
    assert isinstance(summary, ClipSummary)
    assert summary.caption == "number19"
    assert summary.status == "truncated", "a part was"
    assert json.loads(summary.evidence or "")["parts"][0][0]["summary"] == "number02"
    assert summary.prompt_tokens == 11 * len(questions)


# --- translator -------------------------------------------------------------------------------------------------


def test_a_text_is_asked_for_with_its_language_and_what_stands_in_it_is_left_alone() -> None:
    with scripted_server() as server:
        provider = ServerTranslator(url=server.url, served_model=MODEL, template="From {language}: {text}")
        assert provider.translate([("Guten {language} Tag", "de"), ("Bon {text} jour", "fr")]) == [
            Generated("Tag", "success", 11, 1),
            Generated("jour", "success", 11, 1),
        ]
    assert asked(server) == ["From French: Bon {text} jour", "From German: Guten {language} Tag"]


def test_a_language_that_nobody_knows_is_left_untranslated() -> None:
    with scripted_server() as server:
        provider = ServerTranslator(url=server.url, served_model=MODEL)
        unknown, known = provider.translate([("Qapla'", "xx"), ("Hallo", "de")])
    assert isinstance(unknown, Untranslated)
    assert isinstance(known, Generated)


def test_a_long_text_is_translated_in_parts_at_the_ends_of_its_sentences() -> None:
    text = "Das ist der erste. Das ist der zweite. Und das ist der dritte."
    with scripted_server() as server:
        provider = ServerTranslator(url=server.url, served_model=MODEL, template="{text}", characters=40)
        (answer,) = provider.translate([(text, "de")])
    assert answer == Generated("zweite. dritte.", "success", 22, 2)
    assert asked(server) == ["Das ist der erste. Das ist der zweite.", "Und das ist der dritte."]


# --- what they share --------------------------------------------------------------------------------------------


def test_readiness_says_what_to_do() -> None:
    with scripted_server() as server:
        assert ServerCaptioner(url=server.url, served_model=MODEL).readiness() == Readiness("ready")
        absent = ServerCaptioner(url=server.url, served_model="absent").readiness()
        assert (absent.state, MODEL in absent.advice, "absent" in absent.advice) == ("missing", True, True)
        elsewhere = ServerCaptioner(url=server.url.removesuffix("/v1"), served_model=MODEL).readiness()
        assert (elsewhere.state, "mostly with /v1" in elsewhere.advice) == ("unreachable", True)
        keyless = ServerCaptioner(url=server.url, served_model=MODEL, key_variable="NO_SUCH_KEY").readiness()
        assert (keyless.state, "NO_SUCH_KEY" in keyless.advice) == ("unreachable", True)
    gone = ServerCaptioner(url=server.url, served_model=MODEL).readiness()
    assert (gone.state, "start the server" in gone.advice) == ("unreachable", True)


@pytest.mark.parametrize(
    ("provider", "bound", "texts"),
    [
        (ServerCaptioner, "frames_together", ("prompt", "prompt_together")),
        (ServerSummariser, "characters", ("template",)),
        (ServerTranslator, "characters", ("template",)),
    ],
)
def test_the_version_holds_what_decides_the_answers_and_nothing_else(
    provider: type, bound: str, texts: Sequence[str]
) -> None:
    def version(**settings: object) -> str:
        return provider(**{"url": "http://one/v1", "served_model": MODEL, **settings}).version

    same = version()
    elsewhere = {"url": "http://two/v1", "key_variable": "K", "concurrency": 1, "timeout_seconds": 1.0, "tries": 9}
    assert version(**elsewhere) == same
    changes: list[dict[str, object]] = [
        {"served_model": "other"},
        {"max_tokens": 9},
        {"temperature": 0.5},
        {"seed": 1},
        {"parameters": {"top_p": 0.5}},
        {"parameters": {"seed": None}},
        {bound: 7},
        *({text: "Other {captions} {text}"} for text in texts),
    ]
    versions = [version(**change) for change in changes]
    assert len({same, *versions}) == 1 + len(changes)
    assert same.startswith(f"{MODEL}+server+")


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "http://me:secret@127.0.0.1/v1"},
        {"url": "http://127.0.0.1/v1?key=secret"},
        {"concurrency": 0},
        {"tries": 0},
        {"timeout_seconds": 0.0},
    ],
)
def test_settings_that_cannot_be_are_refused_when_the_provider_is_made(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ServerCaptioner(**{"url": "http://127.0.0.1/v1", "served_model": MODEL, **settings})


def test_a_template_without_a_place_for_what_it_is_about_is_refused() -> None:
    for provider in (ServerSummariser, ServerTranslator):
        with pytest.raises(ValidationError, match="never sees"):
            provider(url="http://127.0.0.1/v1", served_model=MODEL, template="Say something.")


def test_the_settings_survive_dagster_s_configuration() -> None:
    with scripted_server() as server:

        @dg.op
        def caption(provider: ServerCaptioner) -> list[str]:
            answers = provider.caption([picture(2)])
            return [answer.caption for answer in answers if isinstance(answer, FrameCaption)]

        parameters = {
            "max_tokens": None,
            "max_completion_tokens": 5,
            "chat_template_kwargs": {"enable_thinking": False},
        }
        provider = ServerCaptioner(url=server.url, served_model=MODEL, parameters=parameters)

        @dg.job(resource_defs={"provider": provider})
        def job() -> None:
            caption()

        assert job.execute_in_process().output_for_node("caption") == ["picture 2"]
    (body,) = server.bodies
    assert (body["max_completion_tokens"], body["chat_template_kwargs"]) == (5, {"enable_thinking": False})
    assert "max_tokens" not in body
