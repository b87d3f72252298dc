"""`internvid measure-generated` on folders of real files, with tiny networks, and what becomes of its figures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from command import cells, internvid, refused, succeeded
from tiny_scorers import tiny_clip
from tiny_video_networks import tiny_i3d, tiny_inception

from internvid.generation.metrics.frechet import RunningGaussian, frechet_distance
from internvid.generation.metrics.networks import VideoFeatures
from internvid.generation.metrics.videos import Reading, read_video
from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer
from resources.lake.store import Lake


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, synthetic_video: Callable[..., Path]) -> Path:
    """Four generated videos, three with a prompt, and one file that is none; three real ones; the networks' files."""
    root = tmp_path_factory.mktemp("generated")
    for name in ("made", "real"):
        (root / name).mkdir()
    for number in range(4):
        synthetic_video(root / "made", f"{number}.mp4", number)
    (root / "made" / "4.mp4").write_text("an error page")
    (root / "made" / "prompts.csv").write_text("video,prompt\n0.mp4,a pink circle\n1.mp4,a disc\n2,noise\n")
    for number in range(3):
        synthetic_video(root / "real", f"{number}.mp4", 4 + number)
    tiny_inception(root / "inception.pt")
    tiny_i3d(root / "i3d.pt")
    tiny_clip(root / "clip")
    torch.manual_seed(0)
    sizes = ViCLIPConfig(
        image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2, text_width=32, text_layers=1,
        text_heads=2, embed_dim=16, vocab_size=600,
    )  # fmt: skip
    tokenizer = Tokenizer.trained_on(["a pink circle", "noise"], vocab_size=600)
    save_checkpoint(root / "viclip", Checkpoint(ViCLIP(sizes), tokenizer, Preprocessing(image_size=32)))
    return root


ALL = "fvd,fid,is,clipsim,viclip_frechet,viclip_similarity,classifier_frechet"


def networks_of(root: Path) -> list[str | Path]:
    files = {"--inception": "inception.pt", "--i3d": "i3d.pt", "--clip": "clip", "--viclip": "viclip"}
    return [part for option, name in files.items() for part in (option, root / name)]


@pytest.mark.slow
def test_every_metric_is_printed_with_its_numbers_and_kept_as_rows(folders, lake: Lake, tmp_path):
    trained = {"checkpoint_id": "t2v-tiny-all-1", "model": "t2v-tiny|all", "path": "x", "weights_digest": "d"}
    lake.upsert("checkpoints", pl.DataFrame([trained]))
    out = tmp_path / "figures.json"
    measured = ["measure-generated", folders / "made", "--real", folders / "real", "--metrics", ALL, "--out", out]
    text = succeeded(internvid(*measured, *networks_of(folders), "--checkpoint", "t2v-tiny-all-1", lake=lake.root))
    rows = {row[0]: row[1:] for row in cells(text) if row[0]}
    assert list(rows)[1:] == ALL.split(",")
    assert rows["fvd"][1:4] == ["distance", "4 videos", "3 videos"]
    assert rows["fid"][2:4] == ["64 frames", "48 frames"]
    assert rows["clipsim"][1:4] == ["cosine", "3 videos", "–"]
    assert "warning: fvd: 3 videos are fewer than 2,048" in text
    assert "note: generated: 16 frames in a row from the middle, their own size" in text
    assert "4.mp4: UnreadableVideo" in text

    figures = {figure["metric"]: figure for figure in json.loads(out.read_text())["figures"]}
    by_hand = RunningGaussian(), RunningGaussian()
    network = VideoFeatures(folders / "i3d.pt")
    for gaussian, name, count in zip(by_hand, ("made", "real"), (4, 3), strict=True):
        paths = [folders / name / f"{number}.mp4" for number in range(count)]
        gaussian.add(network.features([read_video(str(path), None, None, Reading(16)).frames for path in paths]))
    assert figures["fvd"]["value"] == pytest.approx(frechet_distance(*by_hand), rel=1e-5)

    stored = {row["metric"]: row for row in lake.polars("evaluations").to_dicts()}
    assert set(stored) == set(ALL.split(","))
    assert stored["fvd"]["value"] == figures["fvd"]["value"]
    assert (stored["fvd"]["checkpoint_id"], stored["fvd"]["model"]) == ("t2v-tiny-all-1", "t2v-tiny|all")
    assert (stored["fvd"]["unit"], stored["fvd"]["items"], stored["fvd"]["named"]) == ("distance", 4, 5)
    assert stored["fvd"]["protocol"].startswith("4 generated, 3 real; I3D: frames resized to 224 x 224")
    listed = json.loads(succeeded(internvid("evaluations", "list", "--format", "json", lake=lake.root)))
    assert {row["metric"] for row in listed} == set(stored)

    again = internvid(*measured, *networks_of(folders), "--checkpoint", "t2v-tiny-all-1", lake=lake.root)
    assert succeeded(again)
    assert lake.polars("evaluations").height == len(stored), "the same figures are the same rows"


def test_the_stored_videos_of_a_generator_are_measured_with_their_prompts(folders, lake: Lake):
    trained = {"checkpoint_id": "t2v-1", "generator": "t2v-tiny|all", "path": "x", "weights_digest": "d"}
    lake.upsert("generation_checkpoints", pl.DataFrame([trained]))
    rows = [
        {
            "generated_video_id": f"t2v-1/{number}",
            "checkpoint_id": "t2v-1",
            "prompt": "noise",
            "mp4": (folders / "made" / f"{number}.mp4").read_bytes(),
        }
        for number in range(3)
    ]
    lake.upsert("generated_videos", pl.DataFrame(rows))
    ask = ["measure-generated", "t2v-1", "--real", folders / "real", "--i3d", folders / "i3d.pt", "--metrics"]
    viclip = ["fvd,viclip_similarity", "--viclip", folders / "viclip"]
    figures = {row[0]: row[1:] for row in cells(succeeded(internvid(*ask, *viclip, lake=lake.root)))}
    assert (figures["fvd"][2], figures["viclip_similarity"][2]) == ("3 videos", "3 videos")
    stored = {row["metric"]: row for row in lake.polars("evaluations").to_dicts()}
    assert (stored["fvd"]["checkpoint_id"], stored["fvd"]["benchmark"]) == ("t2v-1", "real-generation")
    assert "no checkpoint of this lake" in refused(internvid("measure-generated", "none", lake=lake.root))


def test_a_missing_network_or_real_videos_are_asked_for(folders, lake: Lake):
    def ask(*arguments: str | Path) -> str:
        return refused(internvid("measure-generated", folders / "made", *arguments, lake=lake.root))

    assert "fvd needs weights that are not part of this package: name them by --i3d" in ask("--metrics", "fvd")
    assert "distances need real videos" in ask("--metrics", "classifier_frechet")
    assert "there is no metric fvd2" in ask("--metrics", "fvd2")
    assert "neither a folder nor a subset" in ask("--real", "nothing", "--metrics", "classifier_frechet")
    assert "the lake has no active ViCLIP" in ask("--real", folders / "real")
    assert "'other' is no checkpoint of this lake" in ask("--checkpoint", "other")
    assert "consecutive or spread" in ask("--choice", "first")


def test_a_benchmark_s_videos_are_the_real_ones_and_its_classes_the_prompts(folders, tmp_path):
    data = tmp_path / "ucf"
    (data / "TaiChi").mkdir(parents=True)
    (data / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 TaiChi\n")
    (data / "testlist01.txt").write_text("TaiChi/v_1.avi\nTaiChi/v_2.avi\n")
    for number in (1, 2):
        shutil.copy(folders / "real" / f"{number}.mp4", data / "TaiChi" / f"v_{number}.avi.mp4")
    out = tmp_path / "prompts.jsonl"
    assert "40 prompts" in succeeded(internvid("generation-prompts", "ucf101", "--data", data, "--out", out))
    prompts = [json.loads(line) for line in out.read_text().splitlines()]
    assert prompts[20] == {"video": "001-00", "prompt": "Tai Chi"}
    assert len({prompt["video"] for prompt in prompts}) == 40
    text = succeeded(
        internvid(
            "measure-generated", folders / "made", "--real", data, "--benchmark", "ucf101", "--metrics", "fvd",
            "--i3d", folders / "i3d.pt",
        )
    )  # fmt: skip
    (row,) = [row for row in cells(text) if row[0] == "fvd"]
    assert row[3:6] == ["4 videos", "2 videos", "616.51"]
    assert "the paper generates 2,020 videos for ucf101, here are 5" in text


def test_captions_of_msrvtt_are_drawn_once_for_each_video(tmp_path, synthetic_video):
    videos = [{"video_id": f"video{n}", "split": "test"} for n in range(3)]
    sentences = [{"video_id": f"video{n}", "caption": f"{n} and {m}"} for n in range(3) for m in range(20)]
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    for number in range(3):
        synthetic_video(tmp_path, f"video{number}.mp4", number)
    out = tmp_path / "prompts.jsonl"
    succeeded(internvid("generation-prompts", "msrvtt", "--data", tmp_path, "--out", out))
    first = out.read_text()
    assert [json.loads(line)["prompt"][0] for line in first.splitlines()] == ["0", "1", "2"]
    (tmp_path / "video0.mp4").unlink()
    succeeded(internvid("generation-prompts", "msrvtt", "--data", tmp_path, "--out", out))
    assert out.read_text() == "".join(first.splitlines(keepends=True)[1:])
