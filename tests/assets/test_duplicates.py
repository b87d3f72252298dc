"""Copies among videos of a lake: which pairs are found, which of two is kept, and what a change costs."""

import itertools
import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from altered_videos import copied, cropped, mirrored, remuxed, resized, with_logo
from lake_copies import linked_copy
from real_videos import REAL_VIDEOS, needs_real_videos

from assets.corpus.duplicates import duplicates
from assets.ingest.raw_videos import raw_videos
from assets.partitions import ingest_batches
from assets.video.clips import clips_and_frames
from assets.video.fingerprints import fingerprints
from resources.catalog.admission import Admission
from resources.catalog.files import register
from resources.corpus.duplicates import VideoQuality, kept
from resources.corpus.subsets import connected, select_subset, subset_named
from resources.incremental.batch_states import read_batch_states
from resources.incremental.declaration import StageScope
from resources.incremental.engine import LocalEngine
from resources.incremental.materialization import build_asset
from resources.incremental.retries import FailurePolicy
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.media.cut_detection import CutDetection
from resources.media.store import Media

pytestmark = [needs_real_videos, pytest.mark.slow]

OPEN, ODD = REAL_VIDEOS / "open", REAL_VIDEOS / "odd"

# What stands in the folder as it is: near-duplicates on purpose, and videos of similar scenes.
AS_THEY_ARE = (
    *("apollo15_hammer_feather.webm", "apollo15_mjpeg_144p.avi"),
    *("nasa_13013_multistream.mp4", "nasa_13013_rotated.mp4", "nasa_13013_vfr.mp4"),
    *("intel_asl_no.mkv", "intel_asl_book.mkv", "grid_bbaf2n.mpg", "grid_lwbsza.mpg"),
    *("bikes_city_cuts.mp4", "carphone_qcif.mp4", "pexels_skateboard.mp4", "chaplin_bw.mp4", "tractor_vp9.webm"),
)
ALIKE = {
    ("apollo15_hammer_feather.webm", "apollo15_mjpeg_144p.avi"),
    ("nasa_13013_multistream.mp4", "nasa_13013_rotated.mp4"),
    ("nasa_13013_multistream.mp4", "nasa_13013_vfr.mp4"),
    ("nasa_13013_rotated.mp4", "nasa_13013_vfr.mp4"),
    ("carphone_qcif.mp4", "lower bitrate.mp4"),
    ("chaplin_bw.mp4", "other size.mp4"),
    ("bikes_city_cuts.mp4", "cropped.mp4"),
    ("faster.mp4", "pexels_skateboard.mp4"),
    ("logo.mp4", "tractor_vp9.webm"),
    ("grid_bbaf2n.mpg", "mirrored.mp4"),
    ("bikes_city_cuts.mp4", "part.mp4"),
    ("cropped.mp4", "part.mp4"),
}
SAME_PACKETS = {("container.ts", "intel_asl_book.mkv")}


class Corpus:
    """A lake of the videos of a folder, with the assets that find copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "videos"
        self.folder.mkdir()
        self.lake = Lake(root=str(folder / "lake"))
        self.media = Media(root=str(folder / "media"), workers=1)
        self.instance = dg.DagsterInstance.ephemeral()

    def resources(self, benchmark_videos: str | None = None) -> dict[str, Any]:
        return {
            "lake": self.lake,
            "media": self.media,
            "cut_detection": CutDetection(),
            "admission": Admission(benchmark_videos=benchmark_videos),
            "failure_policy": FailurePolicy(),
            "engine": LocalEngine(),
        }

    def bring_up_to_date(self) -> dict[str, Any]:
        """Takes in the folder as it is; returns what the asset `duplicates` reports."""
        found = register(self.lake, self.media, [str(self.folder)], run_id="test")
        self.instance.add_dynamic_partitions(str(ingest_batches.name), sorted(found.batches))
        stages = [
            build_asset(definition, ingest_batches) for definition in (raw_videos, clips_and_frames, fingerprints)
        ]
        for batch in self.instance.get_dynamic_partitions(str(ingest_batches.name)):
            dg.materialize(stages, partition_key=batch, resources=self.resources(), instance=self.instance)
        return self.look_for_copies()

    def fingerprint(self, benchmark_videos: str | None = None) -> None:
        """Brings the fingerprints alone up to date."""
        asset, resources = build_asset(fingerprints, ingest_batches), self.resources(benchmark_videos)
        batches = sorted(set(self.lake.polars("raw_videos")["ingest_batch"]))
        self.instance.add_dynamic_partitions(str(ingest_batches.name), batches)
        for batch in batches:
            dg.materialize([asset], partition_key=batch, resources=resources, instance=self.instance)

    def look_for_copies(self) -> dict[str, Any]:
        result = dg.materialize([duplicates], resources={"lake": self.lake}, instance=self.instance)
        (event,) = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}

    def names(self) -> dict[str, str]:
        """Video -> file name."""
        rows = self.lake.polars("raw_videos").select("video_id", "path").rows()
        return {video_id: Path(path).name for video_id, path in rows}

    def pairs(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The rows of duplicates by both file names, the lower first; `kept` as file name."""
        names = self.names()
        rows = {}
        for row in self.lake.polars("duplicates").to_dicts():
            one, other = sorted((names[row["video_id"]], names[row["other_video_id"]]))
            rows[one, other] = row | {"kept": names[row["kept"]], "evidence": json.loads(row["evidence"])}
        return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The videos AS_THEY_ARE, copies of some, and a file of equal bytes. Tests that change something take `corpus`."""
    corpus = Corpus(tmp_path_factory.mktemp("corpus"))
    for name in AS_THEY_ARE:
        shutil.copy(OPEN / name, corpus.folder / name)
    shutil.copy(ODD / "naïve name 名前 'q' (1).mkv", corpus.folder)
    into = corpus.folder
    copied(OPEN / "carphone_qcif.mp4", into / "lower bitrate.mp4", crf=36)
    copied(OPEN / "chaplin_bw.mp4", into / "other size.mp4", resized(0.5))
    copied(OPEN / "bikes_city_cuts.mp4", into / "cropped.mp4", cropped(0.05))
    copied(OPEN / "pexels_skateboard.mp4", into / "faster.mp4", speed=1.02)
    copied(OPEN / "tractor_vp9.webm", into / "logo.mp4", with_logo)
    copied(OPEN / "grid_bbaf2n.mpg", into / "mirrored.mp4", mirrored)
    copied(OPEN / "bikes_city_cuts.mp4", into / "part.mp4", first_second=2.5, end_second=7.3)
    remuxed(OPEN / "intel_asl_book.mkv", into / "container.ts")
    corpus.bring_up_to_date()
    return corpus


@pytest.fixture
def corpus(made: Corpus, tmp_path: Path) -> Corpus:
    """The same with a lake of its own, to change."""
    corpus = Corpus(tmp_path)
    linked_copy(Path(made.lake.root), Path(corpus.lake.root))
    return corpus


def test_every_copy_is_found_and_nothing_else(made: Corpus) -> None:
    pairs = made.pairs()
    assert {names for names, row in pairs.items() if row["kind"] == "perceptual"} == ALIKE
    assert {names for names, row in pairs.items() if row["kind"] == "packets"} == SAME_PACKETS


def test_equal_bytes_are_no_pair_but_an_attempt_and_are_counted(made: Corpus) -> None:
    twins = {"intel_asl_no.mkv", "naïve name 名前 'q' (1).mkv"}
    assert len(twins & set(made.names().values())) == 1
    counted = made.lake.query(statement("statistics/duplicates")).to_pylist()
    assert [(row["kind"], row["pairs"]) for row in counted] == [
        ("bytes", 1),
        ("packets", len(SAME_PACKETS)),
        ("perceptual", len(ALIKE)),
    ]


def test_a_pair_says_how_the_two_are_alike(made: Corpus) -> None:
    pairs = made.pairs()
    cropped_pair = pairs["bikes_city_cuts.mp4", "cropped.mp4"]
    assert cropped_pair["similarity"] == 1
    assert {cropped_pair["evidence"]["share"], cropped_pair["evidence"]["other_share"]} == {1.0, 0.95}
    assert pairs["grid_bbaf2n.mpg", "mirrored.mp4"]["evidence"]["orientation"] == "mirrored"
    turned = pairs["nasa_13013_rotated.mp4", "nasa_13013_vfr.mp4"]["evidence"]["orientation"]
    assert turned in ("turned by 90", "turned by 270")
    part = pairs["bikes_city_cuts.mp4", "part.mp4"]
    assert abs(part["offset_seconds"]) == pytest.approx(2.5, abs=0.2)
    assert made.names()[part["video_id"]] == ("part.mp4" if part["offset_seconds"] > 0 else "bikes_city_cuts.mp4")


def test_which_copy_is_kept_and_why(made: Corpus) -> None:
    pairs = made.pairs()
    keeps = {names: (row["kept"], row["why_kept"].split(":")[0]) for names, row in pairs.items()}
    assert keeps["apollo15_hammer_feather.webm", "apollo15_mjpeg_144p.avi"] == (
        "apollo15_hammer_feather.webm",
        "it has more pixels",
    )
    assert keeps["bikes_city_cuts.mp4", "part.mp4"] == ("bikes_city_cuts.mp4", "it is longer")
    assert keeps["chaplin_bw.mp4", "other size.mp4"][0] == "chaplin_bw.mp4"
    assert keeps["carphone_qcif.mp4", "lower bitrate.mp4"][0] == "carphone_qcif.mp4"


def judged(video_id: str = "a", **other: Any) -> VideoQuality:
    usual = {
        "seconds": 20.0,
        "width": 640,
        "height": 360,
        "bytes": 1_000_000,
        "decode_errors": 2,
        "first_seen_at": None,
    }
    return VideoQuality(video_id, None, **(usual | other))


@pytest.mark.parametrize(
    ("better", "why"),
    [
        (judged("b", seconds=40.0, width=64), "it is longer: 40.0 s, the other 20.0 s"),
        (judged("b", width=1280, seconds=17.0), "it has more pixels: 1280 x 360, the other 640 x 360"),
        (
            judged("b", decode_errors=0, bytes=100),
            "it is less damaged: 0 packets could not be decoded, of the other 2",
        ),
        (judged("b", seconds=22.0, bytes=100), "it is longer: 22.0 s, the other 20.0 s"),
        (judged("b", bytes=2_000_000), "it has more bytes a second: 100 kB, the other 50 kB"),
        (judged("b", bytes=1_000_100, first_seen_at=datetime(2026, 1, 1, tzinfo=UTC)), "it was registered first"),
        (judged("A"), "equal by every rule: the lower video_id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_rule_that_tells_two_apart_decides(better: VideoQuality, why: str) -> None:
    assert kept(judged(), better) == kept(better, judged()) == (better, why)


def test_of_any_number_of_copies_exactly_one_is_never_left_out() -> None:
    draw = random.Random(0)
    for _ in range(200):
        copies = [
            judged(
                f"{number}",
                seconds=draw.choice([0.0, 15.9, 16.1, 16.4, 31.9]),
                width=draw.choice([640, 641]),
                decode_errors=draw.choice([0, 1]),
                bytes=draw.choice([900_000, 1_000_000, 1_100_000, 1_300_000]),
                first_seen_at=draw.choice([None, datetime(2026, 1, draw.randint(1, 3), tzinfo=UTC)]),
            )
            for number in range(6)
        ]
        left_out = {
            (other if kept(one, other)[0] == one else one).video_id for one, other in itertools.combinations(copies, 2)
        }
        assert len(left_out) == len(copies) - 1


def test_a_subset_without_copies_has_one_video_of_each_group(corpus: Corpus) -> None:
    clips = corpus.lake.polars("clips", columns=["clip_id", "video_id", "ingest_batch"])
    captions = clips.with_columns(caption=pl.lit("Something is seen."), word_count=pl.lit(3, pl.Int32))
    corpus.lake.upsert("clip_captions", captions.to_arrow().select(["clip_id", "video_id", "caption", "ingest_batch"]))
    unique = subset_named("unique")
    with connected(corpus.lake, unique, at=None) as connection:
        rows = select_subset(connection, unique).read_all().to_pylist()
    names = corpus.names()
    expected = set(names.values()) - {
        *("apollo15_mjpeg_144p.avi", "nasa_13013_rotated.mp4", "nasa_13013_vfr.mp4", "lower bitrate.mp4"),
        *("other size.mp4", "cropped.mp4", "part.mp4"),
    }
    for names_of_pair, row in corpus.pairs().items():
        expected -= set(names_of_pair) - {row["kept"]}
    assert {names[row["video_id"]] for row in rows} == expected
    # One of nine groups of copies is left, and each video that has none.
    assert len(expected) == len(names) - 11


# --- what a change costs ----------------------------------------------------------------------------------------


def rows_of(lake: Lake, table: str) -> list[dict[str, Any]]:
    """Whole rows in order of their keys, without what differs between runs."""
    rows = lake.polars(table).drop("run_id", "written_at")
    return rows.sort(pl.first()).to_dicts()


def notes(lake: Lake) -> set[str]:
    """The videos that are noted as compared."""
    return set(lake.polars("comparisons")["video_id"])


def test_videos_that_were_compared_are_not_compared_again(corpus: Corpus) -> None:
    before = corpus.lake.version("duplicates")
    report = corpus.look_for_copies()
    changes = {name: report[name] for name in ("videos_compared", "pairs_added", "pairs_changed", "pairs_removed")}
    assert set(changes.values()) == {0}
    assert corpus.lake.version("duplicates") == before


def test_videos_that_come_one_after_the_other_end_in_the_same_pairs(corpus: Corpus) -> None:
    lake = corpus.lake
    whole, fingerprints_of_all = rows_of(lake, "duplicates"), lake.dataset("fingerprints").to_table()
    lake.delete("duplicates", [row["pair_id"] for row in whole])
    lake.delete("fingerprints", fingerprints_of_all["video_id"].to_pylist())
    lake.delete("comparisons", list(notes(lake)))
    compared = []
    for first in range(0, len(fingerprints_of_all), 8):
        lake.upsert("fingerprints", fingerprints_of_all.slice(first, 8))
        compared.append(corpus.look_for_copies()["videos_compared"])
    assert sum(compared) == len(fingerprints_of_all)
    assert max(compared) == 8
    assert rows_of(lake, "duplicates") == whole


def test_a_video_that_is_gone_takes_its_pairs_and_notes_with_it(corpus: Corpus) -> None:
    lake = corpus.lake
    whole = rows_of(lake, "duplicates")
    (gone,) = [video_id for video_id, name in corpus.names().items() if name == "nasa_13013_vfr.mp4"]
    for table in ("raw_videos", "fingerprints"):
        lake.delete(table, [gone])
    report = corpus.look_for_copies()
    assert (report["videos_compared"], report["pairs_removed"]) == (0, 2)
    assert rows_of(lake, "duplicates") == [row for row in whole if gone not in row["pair_id"]]
    assert gone not in notes(lake)


def test_a_video_whose_pictures_are_others_now_is_compared_alone(corpus: Corpus) -> None:
    lake = corpus.lake
    whole = rows_of(lake, "duplicates")
    by_name = {name: video_id for video_id, name in corpus.names().items()}
    changed, like = by_name["nasa_13013_vfr.mp4"], by_name["carphone_qcif.mp4"]
    table = lake.polars("fingerprints")
    looks_like = table.filter(video_id=like).select(
        "frames", "seconds", "hashes", digest=pl.lit("d"), provenance="digest"
    )
    row = table.filter(video_id=changed).drop(looks_like.columns).hstack(looks_like)
    lake.upsert("fingerprints", row.select(table.columns))
    report = corpus.look_for_copies()
    assert (report["videos_compared"], report["pairs_removed"]) == (1, 2)
    now = rows_of(lake, "duplicates")
    others = {by_name["carphone_qcif.mp4"], by_name["lower bitrate.mp4"]}
    assert [row for row in now if changed not in row["pair_id"]] == [r for r in whole if changed not in r["pair_id"]]
    assert {
        tuple(sorted({row["video_id"], row["other_video_id"]} - {changed})) for row in now if changed in row["pair_id"]
    } == {(other,) for other in others}


def test_a_run_that_died_before_it_noted_what_it_compared_does_that_again(corpus: Corpus) -> None:
    lake = corpus.lake
    whole = rows_of(lake, "duplicates")
    some = sorted(notes(lake))[:5]
    lake.delete("comparisons", list(some))
    lake.delete("duplicates", [row["pair_id"] for row in whole if set(row["pair_id"].split("/")) & set(some)])
    report = corpus.look_for_copies()
    assert report["videos_compared"] == 5
    assert rows_of(lake, "duplicates") == whole
    assert corpus.look_for_copies()["videos_compared"] == 0


def test_a_fingerprint_changes_with_what_the_frames_show_alone(corpus: Corpus) -> None:
    frames = corpus.lake.polars("frames").filter(video_id=next(iter(corpus.names())))
    made_anew = frames.with_columns(provenance=pl.lit("of another run"))
    corpus.lake.upsert("frames", made_anew)
    stage = fingerprints.configured(StageScope(corpus.lake), corpus.resources())
    assert read_batch_states(corpus.lake, [stage]).counts()[stage.name]["pending"] == 0
    corpus.lake.upsert("frames", made_anew.with_columns(provenance=pl.lit("again"), digest=pl.lit("other pictures")))
    assert read_batch_states(corpus.lake, [stage]).counts()[stage.name]["pending"] == 1


def test_a_copy_of_a_benchmark_video_is_told_and_no_subset_has_its_clips(corpus: Corpus, tmp_path: Path) -> None:
    video_id, _ = min(corpus.names().items(), key=lambda item: item[1])
    copies = {video_id} | {
        other
        for row in corpus.lake.polars("duplicates").to_dicts()
        if video_id in (pair := (row["video_id"], row["other_video_id"]))
        for other in pair
    }
    (path,) = corpus.lake.polars("raw_videos").filter(video_id=video_id)["path"]
    (tmp_path / "benchmark").mkdir()
    shutil.copy(path, tmp_path / "benchmark" / "of_a_benchmark.mp4")
    corpus.fingerprint(str(tmp_path / "benchmark"))
    told = corpus.lake.polars("attempts").filter(stage="fingerprints")
    assert set(told["error_class"]) == {"InBenchmark"}
    assert set(told["message"]) == {"looks like of_a_benchmark.mp4"}
    assert video_id in set(told["key"]) <= copies
    pool = corpus.lake.query(statement("selection/pool"))
    assert not set(pool["video_id"].to_pylist()) & set(told["key"])
    corpus.fingerprint()
    assert corpus.lake.polars("attempts").filter(stage="fingerprints").is_empty()
