"""A profile of tiny models of the real classes, from the command line: every row names the model that made it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from real_videos import REAL_VIDEOS
from tiny_captioners import WORDS, blip, blip_2, qwen_2_5_vl
from tiny_language_models import tiny_chat, tiny_marian, tiny_t5
from tiny_scorers import random_head, tiny_classifier, tiny_clip
from tiny_whisper import save_whisper

from resources.lake.store import Lake

pytestmark = pytest.mark.slow

INTERNVID = Path(sys.executable).with_name("internvid")
SPOKEN = REAL_VIDEOS / "open" / "grid_bbaf2n.mpg"
GERMAN = "1\n00:00:00,100 --> 00:00:01,400\nHeute kochen wir eine gute Suppe.\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, synthetic_video: Callable[..., Path]) -> Path:
    """A folder with videos, of one of which the subtitles are there too, models, and tiny.yaml, a profile of them."""
    place = tmp_path_factory.mktemp("profiles")
    (place / "synthetic_videos").mkdir()
    synthetic_video(place / "synthetic_videos", "one.mp4", 1)
    (place / "synthetic_videos" / "one.de.srt").write_text(GERMAN)
    shutil.copy(SPOKEN, place / "synthetic_videos" / "spoken.mpg")
    models = place / "models"
    made = {
        "coarse_captioner": {"kind": "hub", "weights": blip_2(models / "blip-2"), "generation": {"max_new_tokens": 5}},
        "fine_captioner": {"kind": "hub", "weights": blip(models / "blip"), "generation": {"max_new_tokens": 5}},
        "summariser": {"kind": "hub", "weights": tiny_t5(models / "t5"), "generation": {"max_new_tokens": 8}},
        "transcriber": {"kind": "whisper", "weights": save_whisper(models / "whisper")},
        "translator": {
            "kind": "hub",
            "weights": tiny_marian(models / "opus-mt-de-en"),
            "generation": {"max_new_tokens": 16},
        },
        "aesthetics": {"kind": "clip_head", "weights": tiny_clip(models / "clip"), "head": models / "head.pth"},
        "frame_text_similarity": {"kind": "clip", "weights": models / "clip"},
        "safety": {
            "kind": "image_classifier",
            "weights": tiny_classifier(models / "classifier", "sfw", "nsfw"),
            "labels": ["nsfw"],
        },
    }
    random_head(models / "head.pth")
    of_text = {provider: {name: _plain(value) for name, value in of.items()} for provider, of in made.items()}
    (place / "tiny.yaml").write_text(yaml.safe_dump(of_text))
    return place


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


@pytest.fixture(scope="module")
def run(place: Path) -> Callable[..., str]:
    """run("status", …): what the command prints, on one lake, with the profile and without a network."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    environment |= {"INTERNVID_LAKE": str(place / "lake"), "INTERNVID_WORKERS": "1", "INTERNVID_FIRST_MODEL": ""}

    def printed(*arguments: str) -> str:
        done = subprocess.run(
            [INTERNVID, *arguments, "--profile", "embedded,tiny.yaml"],
            env=environment | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
            cwd=place,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return printed


@pytest.fixture(scope="module")
def lake(place: Path, run: Callable[..., str]) -> Lake:
    run("ingest", "synthetic_videos")
    return Lake(root=str(place / "lake"))


def test_doctor_finds_every_model_of_the_profile(run):
    providers = {provider["provider"]: provider for provider in json.loads(run("doctor", "--json"))["providers"]}
    found = {
        name: (provider["model"], provider["state"])
        for name, provider in providers.items()
        if provider["state"] == "ready"
    }
    assert (
        found.items()
        >= {
            "coarse_captioner": ("blip-2", "ready"),
            "fine_captioner": ("blip", "ready"),
            "summariser": ("t5", "ready"),
            "transcriber": ("whisper", "ready"),
            "translator": ("opus-mt-de-en", "ready"),
            "aesthetics": ("clip+head", "ready"),
            "frame_text_similarity": ("clip", "ready"),
            "safety": ("classifier", "ready"),
        }.items()
    )


def test_every_row_names_the_model_that_made_it(lake):
    failed = lake.polars("attempts").filter(outcome="failed")
    assert failed.is_empty(), failed.select("stage", "label", "message").rows()
    captions = lake.polars("frame_captions")
    assert set(captions.select("scale", "model").rows()) == {("coarse", "blip-2"), ("fine", "blip")}
    assert {word for caption in captions["caption"] for word in caption.split()} <= set(WORDS)
    assert captions["revision"].null_count() == 0
    assert captions["output_tokens"].is_between(1, 5).all()
    assert set(lake.polars("clip_captions")["model"]) == {"t5"}
    assert lake.polars("clip_captions").height == lake.polars("clips").height
    assert set(lake.polars("speech").select("source", "model").rows()) == {
        ("subtitles:uploaded", None),
        ("speech recognition", "whisper"),
    }
    said = lake.polars("transcripts").filter(text="Heute kochen wir eine gute Suppe.").row(0, named=True)
    assert (said["language"], said["translator"]) == ("de", "opus-mt-de-en")
    assert said["english"]
    scores = lake.polars("clip_scores")
    assert set(scores.select("score", "model").rows()) == {
        ("aesthetics", "clip+head"),
        ("frame_text_similarity", "clip"),
        ("safety", "classifier"),
    }
    assert scores["value"].null_count() == 0


def test_another_fine_captioner_and_summariser_leave_coarse_captions_speech_and_scores_of_pictures(lake, run, place):
    def written_by() -> dict[str, set[tuple[str, str]]]:
        captions, scores = lake.polars("frame_captions"), lake.polars("clip_scores")
        parts = {scale: captions.filter(scale=scale) for scale in ("coarse", "fine")}
        parts |= {name: lake.polars(name) for name in ("clip_captions", "speech", "transcripts")}
        parts |= {score: scores.filter(score=score) for score in ("aesthetics", "safety", "frame_text_similarity")}
        return {name: set(rows.select(rows.columns[0], "run_id").rows()) for name, rows in parts.items()}

    before = written_by()
    qwen = qwen_2_5_vl(place / "models" / "qwen-vl")
    chat = tiny_chat(place / "models" / "chat")
    run(
        *("ingest", "synthetic_videos"),
        *(
            "--provider",
            f"fine_captioner={{kind: hub, weights: {qwen}, prompt: what, generation: {{max_new_tokens: 5}}}}",
        ),
        *("--provider", f"summariser={{kind: hub, weights: {chat}, generation: {{max_new_tokens: 8}}}}"),
    )
    after = written_by()
    assert {name for name in after if after[name] == before[name]} == {
        *("coarse", "speech", "transcripts", "aesthetics", "safety"),
    }
    assert set(lake.polars("frame_captions").filter(scale="fine")["model"]) == {"qwen-vl"}
    assert set(lake.polars("clip_captions")["model"]) == {"chat"}
