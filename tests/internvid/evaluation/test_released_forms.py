"""Benchmarks in the forms in which they are released, made of coloured videos: figures as computed by other means."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import pytest

from internvid.evaluation.benchmarks import MissingAnnotations, UnreadableAnnotations, read_benchmark
from internvid.evaluation.classification import average_precision, chance_precision, class_vectors
from internvid.evaluation.decode import read_in_process
from internvid.evaluation.run import evaluate
from internvid.viclip.tokenizer import prepare_text

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "orange": (255, 140, 0)}


class ColourEncoder:
    """A video is its mean colour; a text the mean of what its letters spell by a fixed random table."""

    frames = 4
    prepares_texts = True
    width = 3

    def encode_videos(self, videos) -> np.ndarray:
        return unit(np.stack([video.reshape(-1, 3).mean(0) / 255 for video in videos]))

    def encode_texts(self, texts, *, prepare: bool = True) -> np.ndarray:
        table = np.random.default_rng(0).standard_normal((256, self.width))
        return unit(np.stack([table[list(text.encode())].mean(0) for text in texts]))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, bytes]:
    """One of each colour, as the bytes of a file."""
    content = {}
    for name, colour in COLOURS.items():
        path = tmp_path_factory.mktemp("videos") / f"{name}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=6)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            picture = np.broadcast_to(np.array(colour, np.uint8), (32, 32, 3)).copy()
            for _ in range(6):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        content[name] = path.read_bytes()
    return content


def laid(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def ranks_by_hand(
    encoder: ColourEncoder, videos: list[bytes], texts: list[list[str]], folder: Path
) -> dict[str, float]:
    """R@1 in both directions from the whole matrix, by comparing each score with the best wrong one."""
    items = [laid(folder, {f"by_hand/{n}.mp4": content}) / f"by_hand/{n}.mp4" for n, content in enumerate(videos)]
    pictures = []
    for path in items:
        with av.open(str(path)) as container:
            pictures.append(np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]))
    video = encoder.encode_videos(pictures)
    text = encoder.encode_texts([prepare_text(each) for of_video in texts for each in of_video])
    owner = np.array([number for number, of_video in enumerate(texts) for _ in of_video])
    scores = video.astype(np.float64) @ text.T
    to_video = [scores[own, at] > np.delete(scores[:, at], own).max() for at, own in enumerate(owner)]
    to_text = [scores[at, owner == at].max() > scores[at, owner != at].max() for at in range(len(video))]
    return {"text_to_video_recall_at_1": 100 * np.mean(to_video), "video_to_text_recall_at_1": 100 * np.mean(to_text)}


def shown(folder: Path, name: str) -> dict[str, float]:
    evaluation = evaluate(ColourEncoder(), read_benchmark(name, folder), read_in_process)
    return {metric.name: metric.value for metric in evaluation.metrics}


def test_msrvtt_1k_b_counts_every_sentence_of_its_list_of_videos(tmp_path, videos):
    sentences = {
        "video0": ["red a", "red b"],
        "video1": ["green thing"],
        "video2": ["blue c", "blue"],
        "video9": ["no"],
    }
    pairs = [{"video_id": video, "caption": text} for video, texts in sentences.items() for text in texts]
    pairs.append({"video_id": "video7", "caption": "of another split"})
    folder = laid(
        tmp_path,
        {
            "test_list_miech.txt": "video2\nvideo0\nvideo1\nvideo9\n",
            "MSRVTT_data.json": json.dumps({"videos": [], "sentences": pairs}),
            **{f"videos/video{n}.mp4": content for n, content in enumerate(list(videos.values())[:3])},
        },
    )
    benchmark = read_benchmark("msrvtt-1k-b", folder)
    assert [item.video for item in benchmark.items] == ["video2", "video0", "video1"]
    assert benchmark.missing == ("video9",)
    order = [[*videos.values()][at] for at in (2, 0, 1)]
    expected = ranks_by_hand(ColourEncoder(), order, [sentences[f"video{at}"] for at in (2, 0, 1)], tmp_path / "other")
    figures = shown(folder, "msrvtt-1k-b")
    assert {name: figures[name] for name in expected} == pytest.approx(expected)
    (folder / "test_list_miech.txt").write_text("video2\nvideo55\n")
    with pytest.raises(UnreadableAnnotations, match="no sentence of 1 videos: video55"):
        read_benchmark("msrvtt-1k-b", folder)


def test_charades_is_measured_by_average_precision_over_classes_that_occur(tmp_path, videos):
    rows = {"AAA": "c000 1.0 2.0;c002 0.0 3.0", "BBB": "c000 0.0 9.9", "CCC": "c001 0.0 1.0;c001 2.0 3.0", "DDD": ""}
    head = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    folder = laid(
        tmp_path,
        {
            "Charades_v1_classes.txt": "c000 Holding some clothes\nc001 Opening a door\nc002 Sitting\nc003 Never\n",
            "Charades_v1_test.csv": head
            + "".join(f'{video},S,Kitchen,6,7,Yes,"a, b",o,d,{actions},30.1\n' for video, actions in rows.items()),
            **{f"Charades_v1/{video}.mp4": content for video, content in zip(rows, videos.values(), strict=True)},
        },
    )
    benchmark = read_benchmark("charades", folder)
    assert [item.labels for item in benchmark.items] == [(0, 2), (0,), (1,), ()]
    assert benchmark.notes == ("Charades_v1_test.csv names 4 classes, Charades has 157",)
    encoder = ColourEncoder()
    pictures = [np.full((4, 32, 32, 3), colour, np.uint8) for colour in COLOURS.values()]
    classes = class_vectors(benchmark.classes, lambda texts: encoder.encode_texts(texts))
    scores = encoder.encode_videos(pictures) @ classes.T
    precisions = []
    for column in range(3):
        right = [column in item.labels for item in benchmark.items]
        order = sorted(range(4), key=lambda at: -scores[at, column])
        hits = [place for place, at in enumerate(order, start=1) if right[at]]
        precisions.append(np.mean([(number + 1) / place for number, place in enumerate(hits)]))
    figures = shown(folder, "charades")
    assert figures == {"mean_average_precision": pytest.approx(100 * np.mean(precisions))}
    (folder / "Charades_v1_classes.txt").write_text("c000 Holding\n")
    with pytest.raises(UnreadableAnnotations, match="c002 is no class"):
        read_benchmark("charades", folder)


def test_average_precision_ranks_ties_last_and_chance_is_the_mean_over_random_orders():
    assert average_precision(np.array([1.0, 1.0, 0.0]), np.array([True, False, False])) == 0.5
    right = np.array([True, True, False, False, False, False])
    rng = np.random.default_rng(0)
    drawn = [average_precision(rng.random(6), right) for _ in range(20_000)]
    assert chance_precision(6, 2) == pytest.approx(np.mean(drawn), abs=0.005)


def tar_of(samples: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_shards_of_tar_files_give_the_figures_of_the_folder_and_are_unpacked_once_under_names_of_our_own(
    tmp_path, videos
):
    texts = {"red": ["a red one", "red"], "green": ["green"], "blue": ["a blue one"], "orange": ["oranges"]}
    samples = {}
    for name, content in videos.items():
        samples |= {f"../../{name}.mp4": content, f"../../{name}.txt": "\n".join(texts[name]).encode()}
    names = list(samples)
    folder = laid(
        tmp_path / "shards",
        {
            "test/nshards.txt": "2\n",
            "test/0.tar": tar_of({name: samples[name] for name in names[:4]}),
            "test/1.tar": tar_of({name: samples[name] for name in names[4:]}),
        },
    )
    listed = [{"video": f"{name}.mp4", "caption": texts[name]} for name in videos]
    plain = laid(
        tmp_path / "plain",
        {"msrvtt_ret_test1k.json": json.dumps(listed), **{f"{name}.mp4": content for name, content in videos.items()}},
    )
    assert shown(folder, "msrvtt") == shown(plain, "msrvtt")
    assert not list(tmp_path.glob("*.mp4"))
    unpacked = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))
    assert unpacked == [f"unpacked/test/{shard}/{number:06}.mp4" for shard in (0, 1) for number in (0, 1)]
    for shard in ("0.tar", "1.tar"):
        (folder / "test" / shard).unlink()
    assert len(read_benchmark("msrvtt", folder).items) == 4

    of_classes = laid(
        tmp_path / "classes",
        {
            "classnames.txt": "red\ngreen\n",
            "test/nshards.txt": "1",
            "test/0.tar": tar_of({"a.mp4": videos["red"], "a.cls": b"0", "b.mp4": videos["green"], "b.cls": b"1"}),
        },
    )
    benchmark = read_benchmark("kinetics400", of_classes)
    assert [(item.video, item.label) for item in benchmark.items] == [("a", 0), ("b", 1)]
    assert benchmark.classes == ("red", "green")
    (of_classes / "classnames.txt").write_text("red\n")
    with pytest.raises(UnreadableAnnotations, match="b has no class of the 1"):
        read_benchmark("kinetics400", of_classes)


def test_each_folder_of_laions_video_benchmarks_is_found_in_a_copy_of_all_of_them(tmp_path, videos):
    def sample(key: str, colour: str, **others: bytes) -> dict[str, bytes]:
        return {f"{key}.mp4": videos[colour], **{f"{key}.{kind}": content for kind, content in others.items()}}

    actions = "ApplyEyeMakeup\nbrush_hair\n"
    of_classes = {"dataset_type.txt": "video_classification", "classnames.txt": actions}
    of_classes |= {"zeroshot_classification_templates.txt": "a video of {c}.\nwatch {c}.\n"}
    about = b'{"duration": 1}'
    # Samples of different classes may have one name, as videos of UCF-101 do not but files of Kinetics can.
    test = tar_of(sample("0/clip", "red", cls=b"0", json=about) | sample("1/clip", "green", cls=b"1", json=about))
    train = tar_of(sample("0/other", "blue", CLS=b"0") | sample("1/other", "orange", CLS=b"1"))
    texts = sample("video7", "red", txt=b"a red one\nred", json=about) | {"video8.txt": b"gone\naway"}
    root = laid(
        tmp_path / "video_benchmarks",
        {
            **{
                f"{name}/{file}": text
                for name in ("kinetics400", "UCF-101-with-splits")
                for file, text in of_classes.items()
            },
            **{f"{name}/test/nshards.txt": "1\n" for name in ("kinetics400", "UCF-101-with-splits", "MSR-VTT", "MSVD")},
            **{f"{name}/test/0.tar": test for name in ("kinetics400", "UCF-101-with-splits")},
            "UCF-101-with-splits/train/nshards.txt": "1",
            "UCF-101-with-splits/train/0.tar": train,
            "UCF-101/test/nshards.txt": "9",  # all videos, without splits: not the first choice
            "hmdb51/test/nshards.txt": "1",
            "hmdb51/test/0.tar": test,
            "hmdb51/classnames.txt": actions,
            **{f"{name}/dataset_type.txt": "video_retrieval\n" for name in ("MSR-VTT", "MSVD")},
            **{f"{name}/test/0.tar": tar_of(texts) for name in ("MSR-VTT", "MSVD")},
        },
    )
    for name in ("kinetics400", "ucf101", "hmdb51"):
        benchmark = read_benchmark(name, root)
        assert (benchmark.classes, benchmark.split) == (("Apply Eye Makeup", "brush hair"), "test")
        assert [(item.video, item.label) for item in benchmark.items] == [("0/clip", 0), ("1/clip", 1)]
        assert [item.path.read_bytes() for item in benchmark.items] == [videos["red"], videos["green"]]
        assert any("2 templates" in note for note in benchmark.notes) == (name != "hmdb51")
    assert [item.label for item in read_benchmark("ucf101", root, split="train").items] == [0, 1]
    for name in ("msrvtt", "msrvtt-full", "msvd"):
        benchmark = read_benchmark(name, root)
        assert [item.texts for item in benchmark.items] == [("a red one", "red")]
        assert (benchmark.missing, benchmark.named_texts, benchmark.named) == (("video8",), 4, 2)
        assert shown(root, name) == shown(root / ("MSVD" if name == "msvd" else "MSR-VTT"), name)
    with pytest.raises(MissingAnnotations, match=r"Kinetics-400 .train. needs its annotation file"):
        read_benchmark("kinetics400", root, split="train")
    with pytest.raises(UnreadableAnnotations, match="says retrieval, and HMDB-51 is of classification"):
        read_benchmark("hmdb51", root / "MSVD")
    (root / "hmdb51/classnames.txt").unlink()
    with pytest.raises(MissingAnnotations, match=r"needs its list of classes: .*classnames\.txt"):
        read_benchmark("hmdb51", root)


def test_a_damaged_or_missing_shard_is_named(tmp_path, videos):
    folder = laid(tmp_path, {"test/nshards.txt": "2", "test/0.tar": tar_of({"a.mp4": videos["red"], "a.txt": b"red"})})
    with pytest.raises(UnreadableAnnotations, match=r"1\.tar is missing"):
        read_benchmark("msvd", folder)
    (folder / "test/1.tar").write_bytes(b"an error page" * 100)
    with pytest.raises(UnreadableAnnotations, match=r"1\.tar is damaged"):
        read_benchmark("msvd", folder)


def test_kinetics_710_joins_the_three_train_splits_without_what_any_of_them_holds_out(tmp_path):
    head = "label,youtube_id,time_start,time_end,split\n"
    files: dict[str, str | bytes] = {
        "kinetics400_train.csv": head + "Abseiling,a,0,10,train\ncrying,b,5,15,train\n",
        "kinetics600_train.csv": head + "abseiling,a,0,10,train\nyoga,c,0,10,train\n",
        "kinetics700_train.csv": head + "yoga,d,0,10,train\nabseiling,e,1,11,train\n",
        "kinetics700_val.csv": head + "crying,b,5,15,val\n",
        "train.csv": head + "of which release,z,0,10,train\n",
        "e_000001_000011.mp4": b"",
        "a.mp4": b"",
    }
    benchmark = read_benchmark("kinetics710", laid(tmp_path, files))
    assert benchmark.classes == ("abseiling", "yoga")
    assert [(item.video, benchmark.classes[item.label]) for item in benchmark.items] == [
        ("a_000000_000010", "abseiling"),
        ("e_000001_000011", "abseiling"),
    ]
    assert benchmark.missing == ("c_000000_000010", "d_000000_000010")
    (tmp_path / "kinetics600_train.csv").unlink()
    with pytest.raises(MissingAnnotations, match=r"needs its annotation file: kinetics600_train\.csv"):
        read_benchmark("kinetics710", tmp_path)


def test_msrvtt_train_is_a_list_of_videos_with_all_their_sentences(tmp_path):
    sentences = [{"video_id": f"video{n % 2}", "caption": f"sentence {n}"} for n in range(4)]
    files: dict[str, str | bytes] = {
        "MSRVTT_train.9k.csv": "video_id\nvideo1\nvideo0\n",
        "MSRVTT_data.json": json.dumps({"videos": [], "sentences": sentences}),
        "video0.mp4": b"",
        "video1.mp4": b"",
    }
    benchmark = read_benchmark("msrvtt", laid(tmp_path, files), split="train")
    assert [(item.video, item.texts) for item in benchmark.items] == [
        ("video1", ("sentence 1", "sentence 3")),
        ("video0", ("sentence 0", "sentence 2")),
    ]
