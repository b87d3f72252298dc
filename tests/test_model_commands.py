"""The commands around subsets and models, as a user calls them: one lake, trainings of a few steps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Done, cells, internvid, internvid_process, refused, succeeded

from resources.incremental.faults import SystemFault
from resources.lake.store import Lake

pytestmark = pytest.mark.slow(minutes=3)

SETTINGS = {"INTERNVID_FIRST_MODEL": "viclip-tiny|all", "INTERNVID_TRIAL_STEPS": "2"}

Run = Callable[..., Done]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands") / "lake"


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    """run("train", …): the command on one lake."""

    def called(*arguments: str | Path, code: int = 0) -> Done:
        done = internvid(*arguments, lake=root, **SETTINGS)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return called


@pytest.fixture(scope="module")
def lake(root: Path, tmp_path_factory: pytest.TempPathFactory, synthetic_video: Callable[..., Path]) -> Lake:
    """Five videos taken in by `ingest` in a process of its own, which has trained the lake's first model."""
    synthetic_videos = tmp_path_factory.mktemp("synthetic_videos")
    for number in range(5):
        synthetic_video(synthetic_videos, f"{number}.mp4", number)
    first = succeeded(internvid_process("ingest", synthetic_videos, lake=root, **SETTINGS))
    assert "Active model: viclip-tiny-all-" in first
    return Lake(root=str(root))


def test_a_second_ingest_trains_nothing(run, lake, tmp_path):
    before = {table: lake.version(table) for table in ("checkpoints", "clip_embeddings", "subsets", "corpus_snapshot")}
    (folder,) = {Path(row["uri"].removeprefix("file://")).parent for row in lake.polars("sources").to_dicts()}
    done = run("ingest", folder)
    assert "training" not in done.stderr
    assert {table: lake.version(table) for table in before} == before


def test_search_finds_by_words_and_pictures(run, lake):
    rows = json.loads(run("search", "something moves to the right", "--format", "json", "--limit", "3").stdout)
    assert len(rows) == 3
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_a_subset_is_previewed_made_and_exported(run, lake, tmp_path):
    preview = run("subset", "preview", "flt", "--set", "share=0.5").stdout
    made = run("subset", "make", "flt", "--set", "share=0.5").stdout
    clips = lake.polars("subsets", only={"subset": "flt"})
    assert f"flt: {clips.height} clips of corpus-" in made
    assert "similar_enough" in preview
    run("export", tmp_path / "flt.jsonl", "--subset", "flt")
    assert len((tmp_path / "flt.jsonl").read_text().splitlines()) == clips.height
    not_made = run("export", tmp_path / "div.jsonl", "--subset", "div", code=2)
    assert "internvid subset make div" in refused(not_made)


def test_a_subset_without_a_clip_says_what_removed_them(run, lake):
    done = run("subset", "make", "aes", "--set", "threshold=100")
    assert "aes has no clip" in done.stdout
    (attempt,) = [row for row in lake.polars("attempts").to_dicts() if row["key"] == "aes"]
    assert (attempt["outcome"], attempt["error_class"]) == ("skipped", "EmptySubset")
    assert "removed" in attempt["message"]


def test_ablate_compares_subsets_on_the_same_held_out_clips(run, lake):
    done = run("ablate", "--subsets", "all,div")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("│ all", "│ div", "│ chance"))]
    assert len(lines) == 3, done.stdout
    checkpoints = {row["subset"]: row["checkpoint_id"] for row in lake.polars("checkpoints").to_dicts()}
    items = {row["checkpoint_id"]: row["items"] for row in lake.polars("evaluations").to_dicts()}
    assert items[checkpoints["all"]] == items[checkpoints["div"]]
    assert "training" in done.stderr
    assert lake.polars("checkpoints").height == 2, "the model on all was there already"


def test_generators_are_ablated_with_the_same_steps_prompts_and_seeds(run, lake):
    ask = ("ablate", "--recipe", "t2v-tiny", "--subsets", "all,div", "--steps", "3")
    done = run(*ask, "--prompts", "2", "--seeds", "2")
    generators = {row["subset"]: row for row in lake.polars("generation_checkpoints").to_dicts()}
    assert [row["steps"] for row in generators.values()] == [3, 3]
    videos = lake.polars("generated_videos").to_dicts()
    asked = {
        subset: {(row["prompt"], row["seed"]) for row in videos if row["checkpoint_id"] == generator["checkpoint_id"]}
        for subset, generator in generators.items()
    }
    assert asked["all"] == asked["div"]
    assert len(asked["all"]) == 4
    held_out = {row["clip_id"] for row in lake.polars("subsets").to_dicts() if row["split"] == "test"}
    of_held_out = {row["caption"] for row in lake.polars("clip_captions").to_dicts() if row["clip_id"] in held_out}
    assert {prompt for prompt, _ in asked["all"]} <= of_held_out

    evaluations = [row for row in lake.polars("evaluations").to_dicts() if row["benchmark"] == "held_out-generation"]
    metrics = ["viclip_frechet", "viclip_similarity", "classifier_frechet"]
    assert len(evaluations) == 2 * len(metrics)
    assert {row["items"] for row in evaluations if row["metric"] == "viclip_similarity"} == {4}
    printed = {row[0]: row[1:] for row in cells(done.stdout)}
    for subset, generator in generators.items():
        values = {
            row["metric"]: row["value"] for row in evaluations if row["checkpoint_id"] == generator["checkpoint_id"]
        }
        assert printed[subset][:2] == [str(generator["clips"]), "3"]
        assert printed[subset][3:] == [f"{values[metric]:.4f}" for metric in metrics]

    # Fewer videos are asked for: nothing is trained, and those that were made before are not measured.
    run(*ask, "--prompts", "1", "--seeds", "2")
    assert lake.polars("generation_checkpoints").height == 2
    assert lake.polars("generated_videos").height == len(videos)
    again = [row for row in lake.polars("evaluations").to_dicts() if row["benchmark"] == "held_out-generation"]
    assert {row["items"] for row in again if row["metric"] == "viclip_similarity"} == {2}
    assert "ask for more by --prompts or --seeds" in refused(run(*ask, "--prompts", "1", "--seeds", "1", code=2))


def test_benchmarks_become_rows_of_every_checkpoint_once_and_are_set_beside_each_other(
    run, lake, root, tmp_path, synthetic_video
):
    lines = ["key,vid_key,video_id,sentence"]
    for number, sentence in enumerate(("a disc moves right", "a blue square", "two discs meet", "it is not here")):
        if number < 3:
            synthetic_video(tmp_path, f"video{number}.mp4", number)
        lines.append(f"ret{number},msr{number},video{number},{sentence}")
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(lines))
    settings = SETTINGS | {"INTERNVID_BENCHMARKS": json.dumps({"msrvtt": str(tmp_path)})}
    for _ in range(2):
        succeeded(internvid("ablate", "--subsets", "all,div", lake=root, **settings))
    rows = [row for row in lake.polars("evaluations").to_dicts() if row["benchmark"] == "msrvtt"]
    checkpoints = {row["checkpoint_id"] for row in lake.polars("checkpoints").to_dicts()}
    assert {row["checkpoint_id"] for row in rows} == checkpoints
    assert len({row["run_id"] for row in rows}) == 2, "the second command evaluated nothing"
    assert {(row["items"], row["named"], row["split"], row["protocol"]) for row in rows} == {
        (3, 4, "test", "8 frames (middle), float32")
    }
    (checkpoint, _) = sorted(checkpoints)
    out = tmp_path / "figures.json"
    run("evaluate", checkpoint, "--benchmark", "msrvtt", "--data", tmp_path, "--out", out)
    figures = {metric["name"]: metric["value"] for metric in json.loads(out.read_text())["metrics"]}
    values = {row["metric"]: row["value"] for row in rows if row["checkpoint_id"] == checkpoint}
    assert values == pytest.approx(figures), "rows and the command say the same"
    recall = next(row for row in rows if row["metric"] == "text_to_video_recall_at_1")
    assert (recall["published"], recall["chance"]) == (42.4, pytest.approx(100 / 3))

    printed = run("evaluations", "compare", "--benchmark", "msrvtt").stdout
    assert "msrvtt test: 8 frames (middle), float32, 3 of 4" in " ".join(printed.split())
    assert "42.40" in printed
    listed = json.loads(run("evaluations", "list", "--benchmark", "msrvtt", "--format", "json").stdout)
    assert {row["metric"] for row in listed} == set(values)
    assert "nothing was measured of 'else'" in refused(run("evaluations", "compare", "else", code=2))

    (tmp_path / "MSRVTT_JSFUSION_test.csv").unlink()
    with pytest.raises(SystemFault, match=r"the benchmark msrvtt cannot be read: .* needs its annotation file"):
        internvid("ablate", "--subsets", "all", lake=root, **settings)


def test_probes_become_rows_from_kept_vectors_without_decoding_again(lake, root, tmp_path, synthetic_video):
    classes = ["YoYo", "TaiChi"]
    (tmp_path / "classInd.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(classes, start=1)))
    videos = {
        split: [f"{name}/v_{name}_{split}{n}.avi" for name in classes for n in (1, 2)] for split in ("test", "train")
    }
    for split, names in videos.items():
        (tmp_path / f"{split}list01.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            synthetic_video((tmp_path / name).parent, f"{Path(name).name}.mp4", number)
    settings = SETTINGS | {"INTERNVID_BENCHMARKS": json.dumps({"ucf101": str(tmp_path)})}

    def rows(probes: list[str]) -> dict[str, float]:
        succeeded(internvid("ablate", "--subsets", "all", lake=root, **settings, INTERNVID_PROBES=json.dumps(probes)))
        (model,) = {row["checkpoint_id"] for row in lake.polars("checkpoints").to_dicts() if row["subset"] == "all"}
        evaluations = lake.polars("evaluations").to_dicts()
        return {
            row["metric"]: row["value"]
            for row in evaluations
            if row["benchmark"] == "ucf101" and row["checkpoint_id"] == model
        }

    with_neighbours = rows(["knn"])
    assert with_neighbours.keys() == {f"{probe}top_{k}" for probe in ("", "knn_probe_") for k in (1, 5, "mean")}
    for path in tmp_path.rglob("*.mp4"):
        path.write_bytes(b"x" * path.stat().st_size)  # of the same size, so that the benchmark is the same
    with_both = rows(["knn", "linear"])
    assert with_both.items() > with_neighbours.items()
    assert with_both.keys() - with_neighbours.keys() == {f"linear_probe_top_{k}" for k in (1, 5, "mean")}


def test_activate_says_what_is_to_be_made_anew_and_refuses_what_is_no_checkpoint(run, lake, tmp_path):
    checkpoints = {row["subset"]: row["checkpoint_id"] for row in lake.polars("checkpoints").to_dicts()}
    done = run("activate", checkpoints["div"])
    vectors = sum(lake.dataset(table).count_rows() for table in ("clip_embeddings", "caption_embeddings"))
    assert f"{vectors} vectors are to be recomputed" in done.stdout
    assert "clip_embeddings" in run("status").stdout
    run("activate", checkpoints["all"])
    assert "neither a checkpoint of this lake" in refused(run("activate", "no-such-model", code=2))
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in refused(run("activate", tmp_path / "empty", code=2))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("train", "viclip-huge"), "there is no recipe"),
        (("train", "viclip-tiny", "--subset", "nice"), "there is no subset"),
        (("ablate", "--subsets", "all,nice"), "there is no subset"),
        (("evaluate", "no-such-model", "--benchmark", "msrvtt", "--data", "."), "neither a checkpoint"),
    ],
)
def test_a_mistaken_name_is_told_in_words(run, lake, arguments, what):
    assert what in refused(run(*arguments, code=2))
