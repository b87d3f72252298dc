"""`internvid finetune` and `internvid evaluate` on made folders of UCF-101 and MSR-VTT, with rows in a lake."""

import json
import subprocess
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import torch
from command import internvid
from tiny_scorers import tiny_clip

from internvid.viclip.checkpoint import Checkpoint, checkpoint_digest, load_checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.heads import load_heads
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer
from resources.lake.store import Lake

CLASSES = ["ApplyEyeMakeup", "YoYo", "TaiChi"]
SENTENCES = ["a circle moves to the right", "a blue circle, moving", "noise everywhere", "a pink disc"]
SMALL = ("epochs=4", "batch_size=4", "frames=4", "learning_rate=0.001", "stored_side=64", "match_width=16")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = ViCLIPConfig(
        image_size=32,
        patch_size=16,
        vision_width=32,
        vision_layers=2,
        vision_heads=2,
        text_width=32,
        text_layers=1,
        text_heads=2,
        embed_dim=16,
        vocab_size=600,
        context_length=16,
    )
    tokenizer = Tokenizer.trained_on(SENTENCES, vocab_size=600, context_length=16)
    folder = tmp_path_factory.mktemp("checkpoints") / "base"
    return save_checkpoint(folder, Checkpoint(ViCLIP(config), tokenizer, Preprocessing(image_size=32)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(root=str(tmp_path / "lake"))
    lake.create_tables()
    return lake


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory: pytest.TempPathFactory, synthetic_video) -> Path:
    """Three classes, a video each to test with and two to train on; one of the latter is none, one more is missing."""
    folder = tmp_path_factory.mktemp("ucf101")
    lists: dict[str, list[str]] = {"test": [], "train": ["YoYo/v_YoYo_g20_c01.avi 2"]}
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for group, split in ((1, "test"), (8, "train"), (9, "train")):
            video = f"v_{name}_g{group:02}_c01.avi"
            synthetic_video(folder / name, f"{video}.mp4", 3 * number + group)
            lists[split].append(f"{name}/{video}" + (f" {number + 1}" if split == "train" else ""))
    (folder / "TaiChi" / "v_TaiChi_g09_c01.avi.mp4").write_text("an error page")
    (folder / "classInd.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(CLASSES, start=1)))
    for split, lines in lists.items():
        (folder / f"{split}list01.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def msrvtt(tmp_path_factory: pytest.TempPathFactory, synthetic_video) -> Path:
    """Four videos to train on, the last two with two captions, and four to test with."""
    folder = tmp_path_factory.mktemp("msrvtt")
    for number in range(8):
        synthetic_video(folder, f"video{number}.mp4", number)
    train = [{"video": f"video{n}.mp4", "caption": [SENTENCES[n]] * (1 + n // 2)} for n in range(4)]
    test = [{"video": f"video{n + 4}.mp4", "caption": SENTENCES[n]} for n in range(4)]
    (folder / "msrvtt_ret_train9k.json").write_text(json.dumps(train))
    (folder / "msrvtt_ret_test1k.json").write_text(json.dumps(test))
    return folder


def finetuned(lake: Lake, base: Path | str, benchmark: str, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    changes = [part for change in SMALL for part in ("--set", change)]
    return internvid("finetune", base, "--benchmark", benchmark, "--data", data, *changes, *more, lake=lake.root)


def test_a_checkpoint_is_fine_tuned_on_classes_once_and_evaluated_by_its_head_as_rows(lake, base, ucf101):
    done = finetuned(lake, base, "ucf101", ucf101)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "1 of 7 train videos are not in" in " ".join(done.stderr.split())
    (row,) = lake.polars("checkpoints").to_dicts()
    assert (row["base_checkpoint_id"], row["benchmark"], row["recipe"]) == ("base", "ucf101", "finetune-ucf101")
    assert (row["clips"], row["steps"], row["subset"]) == (5, 4, None)
    checkpoint = load_checkpoint(Path(row["path"]))
    assert checkpoint.model.config.frames == 4
    receipt = checkpoint.receipt
    assert (receipt["base_digest"], receipt["missing"]) == (checkpoint_digest(base), 1)
    assert [video for video, _ in receipt["failed"]] == ["TaiChi/v_TaiChi_g09_c01.avi"]
    heads = load_heads(Path(row["path"]), checkpoint.model.config)
    assert heads.classes == ("Apply Eye Makeup", "Yo Yo", "Tai Chi")
    assert not torch.equal(heads.class_head.weight, heads.zero_shot.weight)
    instance = dg.DagsterInstance.from_config(f"{lake.root}/.dagster")
    with instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("finetuned_checkpoints"))
    assert event.asset_materialization.metadata["checkpoint_id"].value == row["checkpoint_id"]
    # What only an interrupted fine-tuning needs is gone.
    assert {path.name for path in (Path(lake.root) / "training").glob("*/*")}.isdisjoint({"frames", "state.pt"})

    again = finetuned(lake, base, "ucf101", ucf101)
    assert again.returncode == 0, again.stderr
    assert len(lake.polars("checkpoints")) == 1

    measured = internvid(
        *("evaluate", row["checkpoint_id"], "--benchmark", "ucf101", "--data", ucf101),
        *("--base", base, "--wise-ft", "0,0.5,1"),
        lake=lake.root,
    )
    assert measured.returncode == 0, measured.stderr
    rows = lake.polars("evaluations")
    assert set(rows["checkpoint_id"]) == {row["checkpoint_id"]}
    values = {
        protocol.partition("WiSE-FT ")[2]: dict(of.select("metric", "value").iter_rows())
        for (protocol,), of in rows.group_by("protocol")
    }
    assert set(values) == {"", "0 with base", "0.5 with base", "1 with base"}
    assert values["1 with base"] == values[""]
    assert set(values[""]) == {
        f"{head}{name}" for head in ("", "class_head_") for name in ("top_1", "top_5", "top_mean")
    }
    # At 0 it is the base, whose class head is the zero-shot classifier.
    of_base = internvid(*("evaluate", base, "--benchmark", "ucf101", "--data", ucf101, "--frames", "4"), lake=lake.root)
    assert of_base.returncode == 0, of_base.stderr
    zero_shot = dict(lake.polars("evaluations").filter(checkpoint_id=str(base)).select("metric", "value").iter_rows())
    assert {name: values["0 with base"][name] for name in zero_shot} == zero_shot
    assert {name: values["0 with base"][f"class_head_{name}"] for name in zero_shot} == zero_shot

    # A second time nothing is read: not even videos that are gone by now, for their names and sizes are the data.
    count, written = len(rows), rows["written_at"].max()
    repeated = internvid("evaluate", row["checkpoint_id"], "--benchmark", "ucf101", "--data", ucf101, lake=lake.root)
    assert "from the table evaluations" in " ".join(repeated.stdout.split())
    after = lake.polars("evaluations").filter(pl.col("checkpoint_id") == row["checkpoint_id"])
    assert (len(after), after["written_at"].max()) == (count, written)


@pytest.mark.slow
def test_kinetics_is_trained_on_first_and_the_result_begins_as_that(lake, base, ucf101, tmp_path, synthetic_video):
    for size, (video, label) in {400: ("a", "yoga"), 600: ("b", "crying"), 700: ("c", "yoga")}.items():
        synthetic_video(tmp_path / "kinetics", f"{video}.mp4", size // 100)
        rows = f"label,youtube_id,time_start,time_end,split\n{label},{video},0,10,train\n"
        (tmp_path / "kinetics" / f"kinetics{size}_train.csv").write_text(rows)
    done = finetuned(lake, base, "ucf101", ucf101, "--kinetics-first", tmp_path / "kinetics")
    assert done.returncode == 0, done.stderr + done.stdout
    first, second = lake.polars("checkpoints").sort("written_at").to_dicts()
    assert (first["benchmark"], first["base_checkpoint_id"], first["clips"]) == ("kinetics710", "base", 3)
    assert (second["benchmark"], second["base_checkpoint_id"]) == ("ucf101", first["checkpoint_id"])
    assert load_checkpoint(Path(second["path"])).receipt["base_digest"] == first["weights_digest"]


@pytest.mark.slow
def test_a_fine_tuning_that_failed_says_why_and_is_tried_again_by_the_same_command(lake, ucf101, tmp_path):
    of_others = tiny_clip(tmp_path / "clip")
    for tries in (1, 2):
        failed = finetuned(lake, of_others, "ucf101", ucf101)
        assert failed.returncode == 1
        assert "fine-tuning failed:" in failed.stdout
        assert "not the weights of a ViCLIP" in failed.stdout
        assert lake.polars("attempts").filter(stage="finetuned_checkpoints")["tries"].to_list() == [tries]
    assert not len(lake.polars("checkpoints"))


@pytest.mark.slow
def test_a_checkpoint_is_fine_tuned_for_retrieval_and_reranks_by_its_match_head(lake, base, msrvtt):
    done = finetuned(lake, base, "msrvtt", msrvtt)
    assert done.returncode == 0, done.stderr + done.stdout
    (row,) = lake.polars("checkpoints").to_dicts()
    measured = internvid("evaluate", row["checkpoint_id"], "--benchmark", "msrvtt", "--data", msrvtt, lake=lake.root)
    assert measured.returncode == 0, measured.stderr
    metrics = set(lake.polars("evaluations")["metric"])
    assert {"text_to_video_recall_at_1", "matched_text_to_video_recall_at_1"} <= metrics


def test_what_the_caller_can_set_right_is_said(lake, base, ucf101):
    for arguments, message in (
        (("--benchmark", "vatexx"), "there is no recipe for 'vatexx'"),
        (("--benchmark", "ucf101", "--set", "epoch=3"), "a fine-tuning has no 'epoch'"),
        (("--benchmark", "ucf101", "--set", "epochs=many"), "epochs is like 20"),
        (("--benchmark", "msrvtt", "--kinetics-first", ucf101), "--kinetics-first trains classes before other classes"),
    ):
        refused = internvid("finetune", base, "--data", ucf101, *arguments, lake=lake.root)
        assert refused.returncode == 2
        assert message in " ".join(refused.stderr.replace("│", " ").split())
