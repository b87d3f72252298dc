"""`internvid evaluate-chat`: a trained chat is asked the questions of made benchmarks, and a real server judges."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from command import cells, internvid, refused, succeeded
from scripted_server import MODEL, scripted_server
from small_chats import COLOURS, ColouredVideos, small_recipe, small_viclip, with_folder
from tiny_language_models import tiny_chat, tiny_llama

from internvid.dialogue.checkpoint import chat_digest
from internvid.dialogue.recipe import ChatRecipe
from internvid.dialogue.training import train_chat
from resources.lake.store import Lake

END_OF_PROMPT = "(fully)."  # by which the scripted server knows what it is asked
VIDEOS = list(permutations(COLOURS, 2))[:5]


def render(path: Path, colours: tuple[str, ...]) -> None:
    """Two seconds of each colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgr0"
        for colour in colours:
            for _ in range(16):
                picture = np.full((32, 32, 3), COLOURS[colour], np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos of two colours each, with an annotation file of each benchmark."""
    folder = tmp_path_factory.mktemp("questions")
    for number, colours in enumerate(VIDEOS):
        render(folder / f"video{number}.mkv", colours)
    options = [f"{colour}." for colour in COLOURS]
    for task, question, right in (
        ("action_sequence", "What comes first?", 0),
        ("scene_transition", "What comes last?", 1),
    ):
        entries = [
            {"video": f"video{n}.mp4", "question": question, "candidates": options, "answer": f"{pair[right]}."}
            for n, pair in enumerate(VIDEOS)
        ]
        (folder / f"{task}.json").write_text(json.dumps(entries))
    asked = [{"video_id": n, "question": "What comes first?", "answer": pair[0]} for n, pair in enumerate(VIDEOS)]
    asked.append({"video_id": 99, "question": "What comes first?", "answer": "red"})
    (folder / "test_qa.json").write_text(json.dumps(asked))
    one = {"video_name": "video0", "Q": "What comes first?", "A": "First it is red."}
    (folder / "generic_qa.json").write_text(json.dumps([one]))
    (folder / "temporal_qa.json").write_text(json.dumps([one]))
    two = {"video_name": "video1", "Q1": "What comes first?", "Q2": "What comes last?", "A": "Red, then blue."}
    (folder / "consistency_qa.json").write_text(json.dumps([two]))
    return folder


def with_chat(lake: Lake, recipe: ChatRecipe, folder: Path) -> str:
    """Puts a trained chat into the lake, and returns its id."""
    trained = train_chat(recipe, ColouredVideos(), small_viclip(), folder=folder)
    row = {
        "checkpoint_id": f"{recipe.name}-all-1",
        "chat": f"{recipe.name}|all",
        "path": str(trained.checkpoint),
        "weights_digest": chat_digest(trained.checkpoint),
    }
    lake.upsert("chat_checkpoints", pl.DataFrame([row]))
    return row["checkpoint_id"]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, new_lake) -> Lake:
    """A lake with a chat that has learnt what comes first and last."""
    folder = tmp_path_factory.mktemp("taught")
    lake = new_lake(folder / "lake")
    with_chat(lake, small_recipe(align=None, tune=replace(small_recipe().tune, epochs=120)), folder / "training")
    return lake


def evaluated(lake: Lake, benchmark: str, data: Path, *more: str) -> dict[str, list[str]]:
    done = internvid("evaluate-chat", "--benchmark", benchmark, "--data", data, "--clips", "2", *more, lake=lake.root)
    return {row[0]: row[1:] for row in cells(succeeded(done)) if row[0]}


def stored(lake: Lake, benchmark: str) -> dict[str, dict]:
    return {row["metric"]: row for row in lake.polars("evaluations").filter(benchmark=benchmark).to_dicts()}


@pytest.mark.slow
def test_a_taught_chat_chooses_right_by_likelihood_and_answers_word_for_word(taught, data):
    rows = evaluated(taught, "mvbench", data)
    assert rows["top_1"][:4] == ["100.00", "%", "25.00", "10"]
    assert rows["top_1_scene_transition"][:4] == ["100.00", "%", "25.00", "5"]
    metrics = stored(taught, "mvbench")
    assert (metrics["top_1"]["value"], metrics["top_1"]["chance"], metrics["top_1"]["items"]) == (100, 25, 10)
    assert (metrics["top_1"]["model"], metrics["top_1"]["checkpoint_id"]) == ("small|all", "small-all-1")
    answers = taught.polars("chat_answers").filter(benchmark="mvbench")
    assert answers["is_right"].all()
    assert answers["options"].list.len().to_list() == [4] * 10

    written = taught.version("chat_answers")
    assert evaluated(taught, "mvbench", data) == rows
    assert taught.version("chat_answers") == written, "what was asked is not asked again"

    rows = evaluated(taught, "msrvtt-qa", data)
    frequent = 100 * 3 / 5  # three of the five videos begin in red
    assert rows["exact_match"][:4] == ["100.00", "%", f"{frequent:.2f}", "5"]
    assert stored(taught, "msrvtt-qa")["exact_match"]["named"] == 6, "a video that is missing is named"


def judge(url: str, **settings: object) -> str:
    return "judge=" + json.dumps({"kind": "server", "url": url, "served_model": MODEL, "concurrency": 1} | settings)


@pytest.mark.slow
def test_a_judge_s_prompts_and_replies_are_kept_and_nothing_is_asked_twice(taught, data):
    says = [{"says": f'I think so. {{"score": {score}}}'} for score in (4, 3, 2, 1, 5)]
    says[1] = {"says": "It is fine."}  # no score
    with scripted_server({END_OF_PROMPT: [*says, {"says": '{"score": 3}'}]}) as server:
        rows = evaluated(taught, "video-chatgpt", data, "--provider", judge(server.url, seed=7))
        first = len(server.bodies)
        again = evaluated(taught, "video-chatgpt", data, "--provider", judge(server.url, seed=7))
        assert len(server.bodies) == first + 1, "only what got no score is judged again"
        bodies = server.bodies
    # In the order of the aspects: correctness, detail (unreadable), context, temporal, consistency.
    assert {name: row[0] for name, row in rows.items() if name in ("correctness", "context", "temporal")} == {
        "correctness": "4.00", "context": "2.00", "temporal": "1.00",
    }  # fmt: skip
    assert "detail" not in rows
    assert "mean" not in rows, "a mean of some aspects is none"
    assert (again["detail"][0], again["mean"][0]) == ("3.00", "3.00")
    assert again["mean"][-1] == "2.64", "the paper's, beside it"
    assert {body["seed"] for body in bodies} == {7}
    assert {body["temperature"] for body in bodies} == {0.0}

    kept = {row["aspect"]: row for row in taught.polars("chat_answers").filter(benchmark="video-chatgpt").to_dicts()}
    assert kept["consistency"]["reply"] == says[4]["says"]
    assert kept["consistency"]["prompt"] == bodies[4]["messages"][0]["content"]
    assert kept["consistency"]["score"] == 5
    assert kept["consistency"]["judge"] == MODEL
    assert kept["consistency"]["judge_revision"] == f"{MODEL}-2026"
    assert "seed=7" in kept["consistency"]["judge_version"]
    for text in ("What comes first?", "What comes last?", "Red, then blue.", "red", "blue"):
        assert text in kept["consistency"]["prompt"]
    assert stored(taught, "video-chatgpt")["mean"]["published"] == 2.64
    assert "judge" in stored(taught, "video-chatgpt")["mean"]["protocol"]


@pytest.mark.slow
def test_a_judge_says_what_is_right_in_other_words(taught, data):
    yes, no = {"says": '{"right": "yes", "score": 5}'}, {"says": '{"right": "no", "score": 1}'}
    with scripted_server({END_OF_PROMPT: [yes, no, yes, yes, no]}) as server:
        rows = evaluated(taught, "msrvtt-qa", data, "--provider", judge(server.url))
    assert (rows["judged_right"][0], rows["judged_score"][:2]) == ("60.00", ["3.40", "of 5"])


def test_a_judge_that_is_not_there_keeps_the_answers(lake, data, tmp_path):
    with_chat(lake, small_recipe(align=None), tmp_path / "training")
    done = internvid(
        "evaluate-chat", "--benchmark", "msrvtt-qa", "--data", data, "--clips", "2", "--limit", "2",
        "--provider", judge("http://127.0.0.1:9/v1", tries=1), lake=lake.root,
    )  # fmt: skip
    assert "does not answer" in refused(done)
    assert lake.polars("chat_answers").height == 2


@pytest.mark.slow
@pytest.mark.parametrize("folder", [tiny_llama, tiny_chat], ids=["llama", "qwen with a chat template"])
def test_language_models_of_the_real_classes_are_asked(folder, lake, data, tmp_path):
    with_chat(lake, with_folder(folder(tmp_path / "language_model")), tmp_path / "training")
    assert evaluated(lake, "mvbench", data)["top_1"][3] == "10"
    rows = evaluated(lake, "video-chatgpt", data, "--max-tokens", "8")
    assert rows["exact_match"][3] == "3"


def test_mistakes_are_told(lake, data):
    def ask(benchmark: str, folder: Path) -> str:
        return refused(internvid("evaluate-chat", "--benchmark", benchmark, "--data", folder, lake=lake.root))

    assert "no benchmark 'vatex' asks a chat" in ask("vatex", data)
    assert "this lake has no chat yet" in ask("mvbench", data)
