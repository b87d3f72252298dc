"""`internvid evaluate` on made folders of MSR-VTT and UCF-101, with a tiny checkpoint and real children that decode."""

import json
import os
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import typer
from command import internvid
from tiny_scorers import tiny_clip

from internvid.evaluation.benchmarks import Item, read_benchmark
from internvid.evaluation.decode import read_in_process
from internvid.evaluation.protocol import PROTOCOLS, Protocol
from internvid.evaluation.run import evaluate
from internvid.viclip.checkpoint import Checkpoint, checkpoint_digest, load_checkpoint, save_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.encoder import Encoder
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer
from orchestration.cli.evaluate import evaluate_command
from resources.media.child_process import DecoderTimedOut
from resources.training.benchmarks import read_in_children

SENTENCES = ["a circle moves to the right", "a [blue] circle, moving", "noise everywhere", "a pink disc " + "so " * 40]


@pytest.fixture(autouse=True)
def no_lake_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations are kept in ./lake where there is one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = ViCLIPConfig(
        image_size=32,
        patch_size=16,
        vision_width=32,
        vision_layers=1,
        vision_heads=2,
        text_width=32,
        text_layers=1,
        text_heads=2,
        embed_dim=16,
        vocab_size=600,
    )
    tokenizer = Tokenizer.trained_on(SENTENCES, vocab_size=600)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny [1]"
    return save_checkpoint(folder, Checkpoint(ViCLIP(config), tokenizer, Preprocessing(image_size=32)))


@pytest.fixture(scope="module")
def msrvtt(tmp_path_factory, synthetic_video) -> Path:
    """Four videos, one that is none, one that is missing."""
    folder = tmp_path_factory.mktemp("msrvtt")
    (folder / "TestVideo").mkdir()
    for number in range(4):
        synthetic_video(folder / "TestVideo", f"video{number}.mp4", number)
    (folder / "TestVideo" / "video4.mp4").write_text("an error page")
    lines = [f'ret{n},msr{n},video{n},"{sentence}"' for n, sentence in enumerate([*SENTENCES, "broken", "missing"])]
    (folder / "MSRVTT_JSFUSION_test.csv").write_text("key,vid_key,video_id,sentence\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory, synthetic_video) -> Path:
    """Three classes, one video each to test with and two to train on."""
    folder = tmp_path_factory.mktemp("ucf101")
    classes = ["ApplyEyeMakeup", "YoYo", "TaiChi"]
    lists: dict[str, list[str]] = {"test": [], "train": []}
    for number, name in enumerate(classes):
        (folder / name).mkdir()
        for group, split in ((1, "test"), (8, "train"), (9, "train")):
            video = f"v_{name}_g{group:02}_c01.avi"
            synthetic_video(folder / name, f"{video}.mp4", 3 * number + group)
            lists[split].append(f"{name}/{video}" + (f" {number + 1}" if split == "train" else ""))
    (folder / "classInd.txt").write_text("".join(f"{n} {name}\r\n" for n, name in enumerate(classes, start=1)))
    for split, lines in lists.items():
        (folder / f"{split}list01.txt").write_text("\r\n".join(lines) + "\r\n")
    return folder


def cells(text: str) -> list[list[str]]:
    rows = [re.split(r"[│┃]", line)[1:-1] for line in text.splitlines() if line[:1] in ("│", "┃")]
    return [[cell.strip() for cell in row] for row in rows]


def test_msrvtt_prints_our_figures_beside_the_papers_and_says_what_is_absent(checkpoint, msrvtt, tmp_path, capsys):
    out = tmp_path / "figures.json"
    found = evaluate_command(checkpoint, benchmark="msrvtt", data=msrvtt, out=out, workers=1, device="cpu")
    text = capsys.readouterr().out

    # What children read and the command evaluates is what one gets by hand.
    encoder = Encoder(load_checkpoint(checkpoint))
    by_hand = evaluate(encoder, read_benchmark("msrvtt", msrvtt), read_in_process)
    assert found.metrics == by_hand.metrics
    assert found.failed == by_hand.failed
    assert (found.named, found.evaluated, found.frames, found.choice) == (6, 4, 8, "middle")

    assert "MSR-VTT 1k-A test: tiny [1], 8 frames (middle), float32, 4 of 6 videos" in " ".join(text.split())
    rows = {row[0]: row[1:] for row in cells(text)}
    recall = next(metric for metric in found.metrics if metric.name == "text_to_video_recall_at_1")
    assert rows["text to video recall at 1"] == [f"{recall.value:.2f}", "25.00", "4", "42.40"]
    assert rows["dual softmax video to text recall at 5"][1:] == ["100.00", "4", "–"]
    assert rows["ViCLIP-L, InternVid-10M-FLT"] == ["42.40", "41.30", "table 5"]
    assert rows["tiny [1]"][0] == f"{recall.value:.2f}"
    assert rows["CLIP4Clip, HowTo100M"][:2] == ["32.00", "–"]
    lines = text.splitlines()
    assert "1 not in the folder:" in lines
    assert lines[lines.index("1 not in the folder:") + 1] == "  video5"
    assert any(line.startswith("  video4: UnreadableVideo: this is a text file") for line in lines)
    assert "note: 2 of 6 videos are left out: with fewer to choose from, retrieval gets easier" in lines
    assert "note: 1 of 5 texts reach the 32 tokens that the model reads" in lines

    written = json.loads(out.read_text())
    assert written["metrics"] == [asdict(metric) for metric in found.metrics]
    assert written["digest"] == checkpoint_digest(checkpoint)
    assert written["missing"] == ["video5"]
    assert {"model": "CLIP-L, OpenAI", "value": 29.0}.items() <= written["published"][0].items()


def test_an_attentive_probe_decodes_each_video_once_and_with_another_seed_or_more_epochs_none(
    checkpoint, ucf101, tmp_path, lake, capsys
):
    data = tmp_path / "ucf101"
    shutil.copytree(ucf101, data)
    options = {"benchmark": "ucf101", "data": data, "frames": 4, "device": "cpu", "lake": lake}
    first = evaluate_command(checkpoint, probes=["attentive"], **options)
    assert "from the table evaluations" not in capsys.readouterr().out
    kept = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "lake/benchmark_vectors").iterdir())
    assert kept == ["tokens-ucf101-test", "tokens-ucf101-train", "ucf101-test", "ucf101-train"]
    # Of the same names, sizes and keys, but no videos any more: whatever reads them fails.
    for path in {
        item.path for split in ("test", "train") for item in read_benchmark("ucf101", data, split=split).items
    }:
        path.write_bytes(bytes(path.stat().st_size))
    for change in ({"probe_seed": 1}, {"probe_epochs": 3}, {"probes": ["attentive", "linear", "knn"]}):
        again = evaluate_command(checkpoint, **({"probes": ["attentive"]} | change), **options)
        assert "from the table evaluations" not in capsys.readouterr().out
        assert (again.evaluated, again.failed) == (first.evaluated, ())
        assert again.metrics[:3] == first.metrics[:3]
    with pytest.raises(typer.BadParameter, match="not one of the 3 videos"):
        evaluate_command(checkpoint, probes=["attentive"], **(options | {"frames": 3}))


def test_without_a_folder_to_keep_them_in_each_video_is_still_decoded_once(checkpoint, ucf101):
    test, train = (read_benchmark("ucf101", ucf101, split=split) for split in ("test", "train"))
    read: list[str] = []

    def reading(items, count, choice):
        for item, frames in read_in_process(items, count, choice):
            read.append(item.video)
            yield item, frames

    encoder = Encoder(load_checkpoint(checkpoint))
    evaluate(encoder, test, reading, probe_train=train, probes=["attentive", "knn"])
    assert sorted(read) == sorted(item.video for part in (test, train) for item in part.items)


def test_ucf101_prints_accuracies_and_probes_and_no_paper_where_it_has_none(checkpoint, ucf101, tmp_path, capsys):
    found = evaluate_command(
        checkpoint,
        benchmark="ucf101",
        data=ucf101,
        frames=4,
        protocol=Protocol(choice="uniform"),
        probes=["linear", "knn", "attentive"],
        vectors=tmp_path / "vectors",
        workers=2,
        device="cpu",
    )
    text = capsys.readouterr().out
    assert (found.evaluated, found.named, found.frames, found.choice) == (3, 3, 4, "uniform")
    rows = cells(text)
    assert rows[0] == ["metric", "% or rank", "chance", "over"]
    names = ["top 1", "top 5", "top mean"]
    names += [f"{probe} probe {name}" for probe in ("linear", "knn", "attentive") for name in names]
    assert [row[0] for row in rows[1:]] == names
    # Vectors and tokens of both splits.
    assert len(list((tmp_path / "vectors").iterdir())) == 4
    assert {row[0]: row[2:] for row in rows[1:]}["top 1"] == ["33.33", "3"]
    assert "note: classInd.txt" not in text
    assert "note: probes: trained on 6 of 6 train videos" in text
    assert "testlist01.txt names 3 classes, UCF-101 has 101" in text


@pytest.mark.slow
def test_a_video_that_never_ends_to_be_read_costs_its_own_time_and_no_more(tmp_path, synthetic_video):
    os.mkfifo(tmp_path / "hangs.mp4")
    items = [Item("hangs", tmp_path / "hangs.mp4"), Item("good", synthetic_video(tmp_path, "good.mp4"))]
    results = dict(read_in_children(items, 2, "middle", workers=1, seconds_per_video=10.0))
    assert isinstance(results[items[0]], DecoderTimedOut)
    assert results[items[1]].shape == (2, 120, 160, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"benchmark": "msvtt"}, "there is no benchmark 'msvtt'; there are kinetics400"),
        ({"frames": 0}, "0 frames show nothing"),
        ({"split": "valid"}, "has no split 'valid' here, only test, train"),
        ({"base": Path("began")}, "--base is for averages with it: give --wise-ft 0,0.5,1, or --effects"),
        ({"shares": [0.5]}, "give --base too"),
        ({"probes": ["knn"]}, "a probe needs classes, and MSR-VTT 1k-A has none"),
        ({"benchmark": "lsmdc"}, "LSMDC16_challenge_1000_publictect.csv or lsmdc_ret_test_1000.json, anywhere under"),
    ],
)
def test_what_the_caller_can_set_right_is_told(checkpoint, msrvtt, change, said):
    with pytest.raises(typer.BadParameter) as raised:
        evaluate_command(checkpoint, **({"benchmark": "msrvtt", "data": msrvtt} | change))
    assert said in raised.value.message


@pytest.fixture(scope="module")
def wide_videos(tmp_path_factory, synthetic_video) -> Path:
    """Three videos with two captions each, of which two are word for word the same, and one that is missing."""
    folder = tmp_path_factory.mktemp("wide")
    for number in range(3):
        synthetic_video(folder, f"video{number}.mp4", number)
    captions = [
        ["A Circle, moving!", "noise"],
        ["a pink disc", "a circle moving"],
        ["nothing"],
        ["absent", "so absent"],
    ]
    rows = [{"video": f"video{number}.mp4", "caption": texts} for number, texts in enumerate(captions)]
    (folder / "msrvtt_ret_test1k.json").write_text(json.dumps(rows))
    return folder


def test_the_effect_of_each_setting_is_measured_in_one_table(checkpoint, wide_videos, tmp_path):
    began_as = tmp_path / "began as"
    loaded = load_checkpoint(checkpoint)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    save_checkpoint(began_as, loaded)
    out = tmp_path / "figures.json"
    done = internvid(
        *("evaluate", checkpoint, "--benchmark", "msrvtt", "--data", wide_videos, "--protocol", "paper"),
        *("--effects", "--wise-ft", "0,0.25,0.5,0.75,1", "--base", began_as, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    rows = {row["setting"]: row["values"] for row in written["effects"]}
    assert list(rows) == [
        "as given",
        "frames: uniform",
        "frames are fitted: crop",
        "frames are resampled: aliased",
        "constants: imagenet",
        "constants: clip",
        "texts: as they are",
        "missing videos: wrong",
        "dual softmax",
        *(f"WiSE-FT: {share:g} of the trained weights" for share in (0, 0.25, 0.5, 0.75, 1)),
    ]
    assert all(setting in done.stdout for setting in rows)
    benchmark = read_benchmark("msrvtt", wide_videos)
    metrics = {metric["name"]: metric["value"] for metric in written["metrics"]}

    def by_hand(folder: Path, **options) -> dict[str, float]:
        """One evaluation with the model and its settings changed by hand."""
        encoder = Encoder(load_checkpoint(folder))
        encoder.preprocessing = replace(encoder.preprocessing, **options.pop("frames", {}))
        encoder.prepares_texts = options.pop("prepares_texts", True)
        found = evaluate(encoder, benchmark, read_in_process, **options).metrics
        return {metric.name: metric.value for metric in found if metric.name in rows["as given"]}

    clip = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
    assert rows["as given"] == rows["constants: imagenet"] == by_hand(checkpoint)
    assert rows["frames: uniform"] == by_hand(checkpoint, choice="uniform")
    assert rows["frames are fitted: crop"] == by_hand(checkpoint, frames={"fit": "crop"})
    assert rows["frames are resampled: aliased"] == by_hand(checkpoint, frames={"resampling": "aliased"})
    assert rows["constants: clip"] == by_hand(checkpoint, frames=clip)
    assert rows["texts: as they are"] == by_hand(checkpoint, prepares_texts=False)
    assert rows["missing videos: wrong"] == by_hand(checkpoint, counts_missing=True)
    for direction, (asked, named) in {"text_to_video": (5, 7), "video_to_text": (3, 4)}.items():
        name = f"{direction}_recall_at_1"
        assert rows["missing videos: wrong"][name] == pytest.approx(rows["as given"][name] * asked / named)
        assert rows["dual softmax"][name] == metrics[f"dual_softmax_{name}"]
    assert rows["WiSE-FT: 1 of the trained weights"] == rows["as given"]
    assert rows["WiSE-FT: 0 of the trained weights"] == by_hand(began_as)
    for share, swept in written["wise_ft"].items():
        values = {metric["name"]: metric["value"] for metric in swept}
        assert rows[f"WiSE-FT: {share} of the trained weights"] == {name: values[name] for name in rows["as given"]}
    assert list(written["wise_ft"]) == ["0", "0.25", "0.5", "0.75", "1"]
    assert "there is no lake here, so the figures are printed and not kept" in done.stderr
    note = next(note for note in written["notes"] if "word for word" in note)
    assert note == (
        "2 of 5 captions are those of another video too, word for word: R@1 can be 80.00 at most (text to video) and "
        "100.00 (video to text)"
    )


@pytest.mark.parametrize("change", [("--fit", "stretch"), ("--missing", "ignored"), ("--choice", "random")])
def test_a_setting_with_an_unknown_word_is_told(checkpoint, msrvtt, change):
    refused = internvid("evaluate", checkpoint, "--benchmark", "msrvtt", "--data", msrvtt, *change)
    assert refused.returncode == 2
    assert f"'{change[1]}' is none of" in refused.stderr


def test_models_of_others_are_evaluated_by_their_own_processor_and_text(checkpoint, msrvtt, tmp_path, capsys):
    """What a protocol says of squares and colours is refused, its effects are left out."""
    folder = tiny_clip(tmp_path / "a clip")
    found = evaluate_command(folder, benchmark="msrvtt", data=msrvtt, shows_effects=True, device="cpu")
    assert (found.frames, found.evaluated) == (8, 4)
    text = capsys.readouterr().out
    assert "a clip, 8 frames (middle), float32, 4 of 6 videos" in " ".join(text.split())
    assert "frames: uniform" in text
    assert "constants: clip" not in text
    with pytest.raises(typer.BadParameter, match="own processor prepares its frames, not fit, resampling"):
        evaluate_command(folder, benchmark="msrvtt", data=msrvtt, protocol=PROTOCOLS["paper"])
    with pytest.raises(typer.BadParameter, match="only the weights of a ViCLIP"):
        evaluate_command(folder, benchmark="msrvtt", data=msrvtt, shows_effects=True, base=checkpoint)


def test_a_checkpoint_that_is_none_is_told(msrvtt, tmp_path):
    with pytest.raises(typer.BadParameter, match="there is no checkpoint folder"):
        evaluate_command(tmp_path / "nothing", benchmark="msrvtt", data=msrvtt)
    with pytest.raises(typer.BadParameter, match="is no checkpoint"):
        evaluate_command(tmp_path, benchmark="msrvtt", data=msrvtt)


def test_a_folder_without_any_of_the_videos_is_told(checkpoint, msrvtt, tmp_path):
    shutil.copy(msrvtt / "MSRVTT_JSFUSION_test.csv", tmp_path)
    with pytest.raises(typer.BadParameter, match=r"not one of the 6 videos .* 6 are not there, such as video0"):
        evaluate_command(checkpoint, benchmark="msrvtt", data=tmp_path)
