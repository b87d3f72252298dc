"""Each benchmark's annotation, in the form in which its dataset has it, and the videos that belong to it."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest

from internvid.evaluation.benchmarks import (
    Benchmark,
    Folder,
    MissingAnnotations,
    UnreadableAnnotations,
    class_words,
    names,
    question_names,
    read_benchmark,
)
from internvid.evaluation.published import PAPERS_BEST, published, published_beside


@pytest.fixture
def lay(tmp_path):
    """lay({"a/b.csv": text or what JSON holds, "c.mp4": b""}): writes the files, and returns their folder."""

    def written(files: Mapping[str, object]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path

    return written


def texts(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    return {item.video: item.texts for item in benchmark.items}


def files(benchmark: Benchmark) -> dict[str, str]:
    return {item.video: item.path.name for item in benchmark.items}


def labelled(benchmark: Benchmark) -> dict[str, str]:
    return {item.video: benchmark.classes[item.label] for item in benchmark.items}


# --- retrieval -------------------------------------------------------------------------------------------------------

MSRVTT = {
    "msrvtt_data/MSRVTT_JSFUSION_test.csv": "key,vid_key,video_id,sentence\r\n"
    'ret0,msr9770,video9770,"a person, connecting something to system"\r\n'
    "ret1,msr9771,video9771,a little girl does gymnastics\r\n"
    "ret2,msr7020,video7020,a woman creating a fondant baby and flower\r\n",
    "TestVideo/video9770.mp4": b"",
    "TestVideo/video7020.mp4": b"",
    "TestVideo/video1.mp4": b"",
}


def test_msrvtt_1k_a_is_one_sentence_a_video_and_names_what_is_missing(lay):
    benchmark = read_benchmark("msrvtt", lay(MSRVTT))
    assert texts(benchmark) == {
        "video9770": ("a person, connecting something to system",),
        "video7020": ("a woman creating a fondant baby and flower",),
    }
    assert benchmark.missing == ("video9771",)
    assert (benchmark.named, benchmark.task, benchmark.split, benchmark.title) == (
        3,
        "retrieval",
        "test",
        "MSR-VTT 1k-A",
    )
    assert all(item.path.is_file() and item.start_seconds is None for item in benchmark.items)


def test_msrvtt_as_a_list_in_json(lay):
    listed = [{"video": "video7020.mp4", "caption": "one"}, {"video": "sub/video9770.mp4", "caption": ["two", "three"]}]
    benchmark = read_benchmark("msrvtt", lay({"msrvtt_ret_test1k.json": listed, "v/video9770.mp4": b""}))
    assert texts(benchmark) == {"sub/video9770.mp4": ("two", "three")}
    assert benchmark.missing == ("video7020.mp4",)


def test_msrvtt_full_test_takes_all_sentences_of_its_split(lay):
    data = {
        "videos": [
            {"video_id": "video0", "split": "train"},
            {"video_id": "video7010", "split": "test"},
            {"video_id": "video6513", "split": "validate"},
        ],
        "sentences": [
            {"sen_id": 0, "video_id": "video7010", "caption": "first"},
            {"sen_id": 1, "video_id": "video0", "caption": "not of the test"},
            {"sen_id": 2, "video_id": "video7010", "caption": "second"},
            {"sen_id": 3, "video_id": "video6513", "caption": "third"},
        ],
    }
    folder = lay({"MSRVTT_data.json": data, "video0.mp4": b"", "video7010.mp4": b"", "video6513.mp4": b""})
    assert texts(read_benchmark("msrvtt-full", folder)) == {"video7010": ("first", "second")}
    assert texts(read_benchmark("msrvtt-full", folder, split="validate")) == {"video6513": ("third",)}
    assert published("msrvtt-full") == []  # the paper's figures are those of 1k-A


def test_lsmdc_has_tabs_and_clips_with_dots_in_their_names(lay):
    clip = "1012_Unbreakable_00.05.16.065-00.05.21.941"
    missing_clip = "0001_American_Beauty_00.01.45.642-00.01.48.642"
    lines = (
        f'{clip}\t00:05:16,065\t00:05:21,941\t00:05:16.065\t00:05:21.941\tSOMEONE\'s "friend" waits \u2013 caf\xe9.\r\n'
        f"{missing_clip}\t1\t2\t1\t2\tHe leaves.\r\n\r\n"
    )
    benchmark = read_benchmark(
        "lsmdc",
        lay(
            {
                "LSMDC16_challenge_1000_publictect.csv": lines.encode("cp1252"),
                f"1012_Unbreakable/{clip}.avi": b"",
                f"0001_American_Beauty/{missing_clip[:-4]}.avi": b"",  # another clip: its name is not cut at a dot
            }
        ),
    )
    assert texts(benchmark) == {clip: ('SOMEONE\'s "friend" waits \u2013 caf\xe9.',)}
    assert benchmark.missing == (missing_clip,)


def test_lsmdc_with_bars_is_read_too_and_a_broken_line_is_named(lay):
    assert texts(
        read_benchmark("lsmdc", lay({"LSMDC16_challenge_1000_publictect.csv": "a|1|2|1|2|He goes.\n", "a.avi": b""}))
    ) == {"a": ("He goes.",)}
    with pytest.raises(UnreadableAnnotations, match="line 2: 2 columns instead of 6"):
        read_benchmark("lsmdc", lay({"LSMDC16_challenge_1000_publictect.csv": "a|1|2|1|2|He goes.\nb|x\n"}))


def test_didemo_joins_a_videos_descriptions_into_a_paragraph(lay):
    entries = [
        {"annotation_id": 1, "video": "10@N00_1_a.mov", "description": "a dog runs ", "times": [[0, 0]]},
        {"annotation_id": 2, "video": "20@N00_2_b.avi", "description": "the sea", "times": [[1, 1]]},
        {"annotation_id": 3, "video": "10@N00_1_a.mov", "description": "it stops.", "times": [[2, 3]]},
    ]
    benchmark = read_benchmark("didemo", lay({"test_data.json": entries, "videos/10@N00_1_a.mov.mp4": b""}))
    assert texts(benchmark) == {"10@N00_1_a.mov": ("a dog runs it stops.",)}
    assert benchmark.missing == ("20@N00_2_b.avi",)
    listed = [{"video": "10@N00_1_a.mov", "caption": ["one", "two"]}]
    assert texts(read_benchmark("didemo", lay({"test_data.json": listed}))) == {"10@N00_1_a.mov": ("one two",)}


MSVD = {
    "AllVideoDescriptions.txt": "# Microsoft Research Video Description Corpus\n#\n\n"
    "-4wsuPCjDBc_5_15 a squirrel is eating a peanut\n"
    "-4wsuPCjDBc_5_15 a chipmunk is eating\n"
    "mv89psg6zh4_33_46 a bird in a sink\n"
    "klteYv1Uv9A_27_33 a train clip\n",
    "test_list.txt": "mv89psg6zh4_33_46\n-4wsuPCjDBc_5_15\n",
    "YouTubeClips/-4wsuPCjDBc_5_15.avi": b"",
    "YouTubeClips/klteYv1Uv9A_27_33.avi": b"",
}


def test_msvd_keeps_every_description_of_its_test_clips_as_a_query_of_its_own(lay):
    benchmark = read_benchmark("msvd", lay(MSVD))
    assert texts(benchmark) == {"-4wsuPCjDBc_5_15": ("a squirrel is eating a peanut", "a chipmunk is eating")}
    assert benchmark.missing == ("mv89psg6zh4_33_46",)


def test_msvd_from_json_where_a_sentence_may_be_a_list_of_words(lay):
    captions = {"a_1_2": [["a", "dog"], "a hound"], "b_1_2": ["a cat"]}
    benchmark = read_benchmark("msvd", lay({"raw-captions.json": captions, "test_list.txt": "a_1_2", "a_1_2.avi": b""}))
    assert texts(benchmark) == {"a_1_2": ("a dog", "a hound")}


def test_msvd_as_a_list_in_json_needs_no_list_of_clips(lay):
    listed = [{"video": "a_1_2.avi", "caption": ["a dog", "a hound"]}]
    benchmark = read_benchmark("msvd", lay({"msvd_ret_test.json": listed, "a_1_2.avi": b""}))
    assert texts(benchmark) == {"a_1_2.avi": ("a dog", "a hound")}


def test_msvds_pickle_is_not_opened(lay):
    class Touch:
        def __reduce__(self):
            return Path.touch, (marker,)

    folder = lay({"test_list.txt": "a\n", "raw-captions.pkl": b""})
    marker = folder / "the pickle was run"
    (folder / "raw-captions.pkl").write_bytes(pickle.dumps(Touch()))
    with pytest.raises(
        MissingAnnotations, match=r"AllVideoDescriptions\.txt or raw-captions\.json.*pickle can run code"
    ):
        read_benchmark("msvd", folder)
    assert not marker.exists()


def test_msvd_needs_its_list_and_words_for_each_clip_of_it(lay):
    descriptions = {"AllVideoDescriptions.txt": "a one\n"}
    with pytest.raises(MissingAnnotations, match=r"test_list\.txt"):
        read_benchmark("msvd", lay(descriptions))
    with pytest.raises(UnreadableAnnotations, match=r"1 clips of .* not at all: b"):
        read_benchmark("msvd", lay(descriptions | {"test_list.txt": "a\nb\n"}))


def test_activitynet_joins_sentences_and_finds_files_with_and_without_the_prefix(lay):
    captions = {
        "v_uqiMw7tQ1Cc": {
            "duration": 55.15,
            "timestamps": [[0.28, 55.15]],
            "sentences": ["A man sits. ", " He stands."],
        },
        "v_bXdq2zI1Ms0": {"duration": 73.1, "timestamps": [[6.94, 69.08]], "sentences": ["Three men are standing."]},
        "v_FsS2gskLlXE": {"duration": 10, "timestamps": [[0, 1]], "sentences": ["Gone."]},
    }
    folder = lay({"captions/val_1.json": captions, "val/v_uqiMw7tQ1Cc.mkv": b"", "val/bXdq2zI1Ms0.mp4": b""})
    benchmark = read_benchmark("activitynet", folder)
    assert texts(benchmark) == {
        "v_uqiMw7tQ1Cc": ("A man sits. He stands.",),
        "v_bXdq2zI1Ms0": ("Three men are standing.",),
    }
    assert benchmark.missing == ("v_FsS2gskLlXE",)
    second = {"v_FsS2gskLlXE": {"sentences": ["Other words."]}}
    assert read_benchmark("activitynet", lay({"val_2.json": second}), split="val_2").split == "val_2"


VATEX = [
    {"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["a man cuts", " he cuts "], "chCap": ["x"]},
    {"videoID": "ab_cdefghij_000000_000010", "enCap": ["a dog"]},
    {"videoID": "klmnopqrstu_000001_000011", "enCap": ["a cat"]},
]


def test_vatex_has_ten_sentences_a_video_and_spans_in_its_names(lay):
    videos = {"val/Ptf_2VRj-V0_000122_000132.mp4": b"", "whole/klmnopqrstu.webm": b""}
    benchmark = read_benchmark("vatex", lay({"vatex_public_test_english_v1.1.json": VATEX} | videos))
    assert texts(benchmark) == {
        "Ptf_2VRj-V0_000122_000132": ("a man cuts", "he cuts"),
        "klmnopqrstu_000001_000011": ("a cat",),
    }
    assert [(item.start_seconds, item.end_seconds) for item in benchmark.items] == [(None, None), (1, 11)]
    assert (benchmark.missing, benchmark.missing_texts) == (("ab_cdefghij_000000_000010",), 1)
    assert (benchmark.named, benchmark.named_texts) == (3, 4)
    with pytest.raises(UnreadableAnnotations, match="entry 0: it has no videoID"):
        read_benchmark("vatex", lay({"vatex_validation_v1.0.json": [{"videoID": "a", "enCap": ["b"]}]}), split="val")


def test_youcook2_has_a_clip_for_each_segment_of_its_split(lay):
    def entry(subset: str, *sentences: str) -> dict[str, object]:
        clips = [{"id": n, "segment": [10 * n, 10 * n + 5], "sentence": each} for n, each in enumerate(sentences)]
        return {"duration": 100.0, "subset": subset, "recipe_type": "1", "annotations": clips, "video_url": "…"}

    database = {"aaaaaaaaaaa": entry("validation", "cut it", "fry it"), "bbbbbbbbbbb": entry("training", "peel it")}
    folder = lay(
        {
            "youcookii_annotations_trainval.json": {"database": database},
            "validation/101/aaaaaaaaaaa.mp4": b"",
            "clips/aaaaaaaaaaa_1.mp4": b"",
        }
    )
    benchmark = read_benchmark("youcook2", folder)
    assert texts(benchmark) == {"aaaaaaaaaaa_0": ("cut it",), "aaaaaaaaaaa_1": ("fry it",)}
    assert [(item.start_seconds, item.end_seconds) for item in benchmark.items] == [(0, 5), (None, None)]
    assert read_benchmark("youcook2", folder, split="train").missing == ("bbbbbbbbbbb_0",)
    with pytest.raises(UnreadableAnnotations, match="not in YouCook2's form"):
        read_benchmark("youcook2", lay({"youcookii_annotations_trainval.json": {"database": {"a": {}}}}))


@pytest.mark.parametrize(
    ("name", "file"),
    [("msrvtt-mc", "msrvtt_mc_test.json"), ("ssv2-mc", "ssv2_mc_val.json"), ("ssv2-mc", "ssv2_mc.json")],
)
def test_multiple_choice_has_the_texts_to_choose_from_and_the_right_one(lay, name, file):
    entries = [{"video": "video7.mp4", "caption": ["a", "b", "c"], "answer": 2}]
    benchmark = read_benchmark(name, lay({file: entries, "videos/video7.mp4": b""}))
    assert [(item.texts, item.label) for item in benchmark.items] == [(("a", "b", "c"), 2)]
    with pytest.raises(UnreadableAnnotations, match="entry 0: it is not"):
        read_benchmark(name, lay({file: [entries[0] | {"answer": 3}]}))


# --- classification --------------------------------------------------------------------------------------------------

KINETICS = (
    "label,youtube_id,time_start,time_end,split,is_cc\n"
    "testifying,---QUuC4vJs,84,94,validate,0\n"
    '"eating spaghetti, slowly",--3ouPhoy2A,20,30,validate,0\n'
    "testifying,-abcdefghij,2,12,validate,0\n"
    "yoga,Abcdefghij-,0,10,validate,0\n"
)


def test_kinetics_finds_cut_out_files_and_whole_ones_with_their_span(lay):
    benchmark = read_benchmark(
        "kinetics400",
        lay(
            {
                "annotations/val.csv": KINETICS,
                "val/---QUuC4vJs_000084_000094.mp4": b"",
                "val/eating spaghetti/--3ouPhoy2A_000020_000030.mp4": b"",
                "val/-abcdefghij.mkv": b"",
                "val/aBCDEFGHIJ-.mp4": b"",  # ids differ by case alone
            }
        ),
    )
    assert labelled(benchmark) == {
        "---QUuC4vJs_000084_000094": "testifying",
        "--3ouPhoy2A_000020_000030": "eating spaghetti, slowly",
        "-abcdefghij_000002_000012": "testifying",
    }
    assert [(item.start_seconds, item.end_seconds) for item in benchmark.items] == [(None, None), (None, None), (2, 12)]
    assert benchmark.missing == ("Abcdefghij-_000000_000010",)
    assert benchmark.classes == ("eating spaghetti, slowly", "testifying", "yoga")
    assert benchmark.notes == ("val.csv names 3 classes, Kinetics-400 has 400",)


def test_each_kinetics_takes_its_own_file_where_several_lie_together(lay):
    folder = lay({"k600_val.csv": KINETICS.replace("yoga", "zumba"), "validate.csv": KINETICS})
    assert "zumba" in read_benchmark("kinetics600", folder).classes
    assert "yoga" in read_benchmark("kinetics700", folder).classes
    assert read_benchmark("kinetics600", folder).missing == read_benchmark("kinetics700", folder).missing


def test_kinetics_with_other_columns_or_times_is_refused(lay):
    with pytest.raises(UnreadableAnnotations, match="no column youtube_id, time_start, time_end"):
        read_benchmark("kinetics400", lay({"val.csv": "label,id\nyoga,x\n"}))
    with pytest.raises(UnreadableAnnotations, match=r"val\.csv:3: could not convert string to float: 'x'"):
        read_benchmark("kinetics400", lay({"val.csv": KINETICS.replace("20,30", "x,30")}))


UCF101 = {
    "ucfTrainTestlist/classInd.txt": "2 ApplyLipstick\r\n1 ApplyEyeMakeup\r\n10 HandstandPushups\r\n\r\n",
    "ucfTrainTestlist/testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\n"
    "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\nApplyLipstick/v_ApplyLipstick_g01_c02.avi\r\n",
    "ucfTrainTestlist/trainlist01.txt": "HandStandPushups/v_HandStandPushups_g08_c01.avi 10\r\n",
    "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi": b"",
    "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi": b"",
    "UCF-101/HandstandPushups/v_HandStandPushups_g08_c01.avi": b"",
}


def test_ucf101_has_its_classes_in_words_by_their_numbers(lay):
    benchmark = read_benchmark("ucf101", lay(UCF101))
    assert benchmark.classes == ("Apply Eye Makeup", "Apply Lipstick", "Handstand Pushups")
    assert labelled(benchmark) == {
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi": "Apply Eye Makeup",
        "HandstandPushups/v_HandStandPushups_g01_c01.avi": "Handstand Pushups",
    }
    assert benchmark.missing == ("ApplyLipstick/v_ApplyLipstick_g01_c02.avi",)
    train = read_benchmark("ucf101", lay(UCF101), split="train")
    assert labelled(train) == {"HandStandPushups/v_HandStandPushups_g08_c01.avi": "Handstand Pushups"}


HMDB51 = {
    "splits/brush_hair_test_split1.txt": "a_brush_hair_u_0.avi 1 \nb_brush_hair_u_1.avi 2 \nc_brush_hair_u_2.avi 0 \n",
    "splits/cartwheel_test_split1.txt": "d_cartwheel_f_0.avi 2 \ne_cartwheel_f_1.avi 2 \n",
    "splits/cartwheel_test_split2.txt": "d_cartwheel_f_0.avi 1 \n",
    "hmdb51_org/brush_hair/a_brush_hair_u_0.avi": b"",
    "hmdb51_org/brush_hair/b_brush_hair_u_1.avi": b"",
    "hmdb51_org/cartwheel/d_cartwheel_f_0.avi": b"",
}


def test_hmdb51_has_a_file_for_each_class_and_numbers_for_its_parts(lay):
    folder = lay(HMDB51)
    benchmark = read_benchmark("hmdb51", folder)
    assert benchmark.classes == ("brush hair", "cartwheel")
    assert labelled(benchmark) == {"b_brush_hair_u_1.avi": "brush hair", "d_cartwheel_f_0.avi": "cartwheel"}
    assert benchmark.missing == ("e_cartwheel_f_1.avi",)
    assert labelled(read_benchmark("hmdb51", folder, split="train")) == {"a_brush_hair_u_0.avi": "brush hair"}
    with pytest.raises(UnreadableAnnotations, match=r"x_test_split1\.txt, line 1"):
        read_benchmark("hmdb51", lay({"splits/x_test_split1.txt": "a.avi 7\n"}))


SSV2 = {
    "labels/something-something-v2-labels.json": {"Turning something down": "1", "Putting something on something": "0"},
    "labels/something-something-v2-validation.json": [
        {"id": "7", "label": "turning a cup down", "template": "Turning [something] down", "placeholders": ["a cup"]},
        {"id": "8", "label": "putting a on b", "template": "Putting [something] on [something]", "placeholders": []},
        {"id": "9", "label": "turning", "template": "Turning [something] down", "placeholders": []},
    ],
    "20bn-something-something-v2/7.webm": b"",
    "20bn-something-something-v2/8.webm": b"",
}


def test_something_something_has_classes_by_their_numbers_and_templates_without_brackets(lay):
    benchmark = read_benchmark("ssv2", lay(SSV2))
    assert benchmark.classes == ("Putting something on something", "Turning something down")
    assert labelled(benchmark) == {"7": "Turning something down", "8": "Putting something on something"}
    assert (benchmark.split, benchmark.missing) == ("val", ("9",))
    with pytest.raises(UnreadableAnnotations, match="KeyError"):
        read_benchmark("ssv2", lay({"labels/something-something-v2-validation.json": [{"id": 1, "template": "x"}]}))


def test_something_something_needs_its_list_of_classes(lay):
    with pytest.raises(MissingAnnotations, match=r"labels\.json, anywhere under"):
        read_benchmark("ssv2", lay({"validation.json": [{"id": "7", "template": "x"}]}))


def test_class_names_become_words():
    assert [class_words(name) for name in ("YoYo", "BasketballDunk", "CleanAndJerk", "Basketball")] == [
        "Yo Yo",
        "Basketball Dunk",
        "Clean And Jerk",
        "Basketball",
    ]


# --- questions -------------------------------------------------------------------------------------------------------


def test_mvbench_has_a_file_of_each_task_with_spans_in_some(lay):
    one = {"video": "a/1.mp4", "question": "Which way?", "candidates": ["Left.", "Right."], "answer": "Right."}
    two = {"video": "b/2.mp4", "question": "What next?", "candidates": ["Sits.", "Stands.", "Runs."], "answer": "Sits."}
    spanned = two | {"start": 3.5, "end": 9}
    content = {"json/moving_direction.json": [one], "json/action_sequence.json": [spanned], "video/b/2.mp4": b""}
    benchmark = read_benchmark("mvbench", lay(content | {"video/a/1.mp4": b""}))
    assert [(i.kind, i.question, i.texts[i.label], i.start_seconds, i.end_seconds) for i in benchmark.items] == [
        ("action_sequence", "What next?", "Sits.", 3.5, 9.0),
        ("moving_direction", "Which way?", "Right.", None, None),
    ]
    assert benchmark.task == "choice"
    wrong = [one | {"answer": "Up."}]
    with pytest.raises(UnreadableAnnotations, match=r"moving_direction\.json, entry 0"):
        read_benchmark("mvbench", lay({"json/moving_direction.json": wrong}))


def test_questions_with_answers_have_two_forms(lay):
    numbered = [{"video_id": 1201, "question": "who sings?", "answer": "woman", "id": 7}]
    mapping = "abc_1_2 vid1201\nother vid9\n"
    of_msvd = read_benchmark(
        "msvd-qa", lay({"test_qa.json": numbered, "youtube_mapping.txt": mapping, "abc_1_2.avi": b""})
    )
    assert [(i.video, i.question, i.texts) for i in of_msvd.items] == [("abc_1_2", "who sings?", ("woman",))]
    asked = [{"video_name": "x-1", "question": "is it day?", "question_id": "v_x-1_0"}]
    told = [{"question_id": "v_x-1_0", "answer": "yes", "type": 3}]
    folder = lay({"qa/test_q.json": asked, "qa/test_a.json": told, "v_x-1.mp4": b""})
    (item,) = read_benchmark("activitynet-qa", folder).items
    assert (item.question, item.texts, item.kind, item.path.name) == ("is it day?", ("yes",), "3", "v_x-1.mp4")
    with pytest.raises(UnreadableAnnotations, match="KeyError"):
        read_benchmark("activitynet-qa", lay({"qa/test_a.json": []}))


def test_questions_of_msrvtt_name_videos_by_number(lay):
    numbered = [
        {"video_id": 7010, "question": "what?", "answer": "dog"},
        {"video_id": 1, "question": "?", "answer": "a"},
    ]
    benchmark = read_benchmark("msrvtt-qa", lay({"test_qa.json": numbered, "video7010.mp4": b""}))
    assert [item.video for item in benchmark.items] == ["video7010"]
    assert benchmark.missing == ("video1",)


def test_the_video_chatgpt_benchmark_asks_in_three_files(lay):
    generic = [{"Q": "What?", "A": "A dog.", "video_name": "v_1"}]
    twice = [{"Q1": "Who?", "Q2": "Which one?", "A": "A man.", "video_name": "v_1"}]
    folder = lay({"generic_qa.json": generic, "consistency_qa.json": twice, "Test_Videos/v_1.mp4": b""})
    benchmark = read_benchmark("video-chatgpt", folder)
    assert [(i.kind, i.question, i.other_question, i.texts) for i in benchmark.items] == [
        ("generic", "What?", "", ("A dog.",)),
        ("consistency", "Who?", "Which one?", ("A man.",)),
    ]
    with pytest.raises(UnreadableAnnotations, match="entry 0"):
        read_benchmark("video-chatgpt", lay({"generic_qa.json": [{"Q": "What?", "video_name": "v_1"}]}))


# --- what all have in common -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*names(), *question_names()}))
def test_a_folder_without_the_annotation_file_says_which_is_looked_for_and_whose_it_is(name, tmp_path):
    with pytest.raises(MissingAnnotations, match=r"needs its annotation file: .+, anywhere under .+\. It comes from "):
        read_benchmark(name, tmp_path)


def test_names_splits_and_folders_that_are_not_there_are_told(lay, tmp_path):
    with pytest.raises(ValueError, match=r"there is no benchmark .msvtt.; there are kinetics400, .*msrvtt"):
        read_benchmark("msvtt", tmp_path)
    with pytest.raises(ValueError, match="MSR-VTT 1k-A has no split 'val' here, only test, train"):
        read_benchmark("msrvtt", lay(MSRVTT), split="val")
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_benchmark("msrvtt", tmp_path / "nothing")
    with pytest.raises(UnreadableAnnotations, match="no JSON"):
        read_benchmark("activitynet", lay({"val_1.json": "{"}))
    with pytest.raises(UnreadableAnnotations, match="names no video"):
        read_benchmark("activitynet", lay({"val_1.json": {}}))


def test_of_several_files_of_one_name_the_one_nearest_to_the_top_is_taken_and_told(lay):
    benchmark = read_benchmark("msrvtt", lay(MSRVTT | {"a/copy/video9770.avi": b"", "video7020.webm": b""}))
    assert files(benchmark) == {"video9770": "video9770.mp4", "video7020": "video7020.webm"}
    assert benchmark.notes == ("2 videos lie there more than once; the one nearest to the folder's top was taken",)


def test_links_are_followed_and_a_link_in_a_circle_ends(tmp_path):
    data = tmp_path / "elsewhere"
    data.mkdir()
    (data / "a.mp4").touch()
    (data / "notes.txt").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "videos").symlink_to(data)
    (data / "back").symlink_to(root)
    folder = Folder(root)
    assert folder.videos("x/y/a") == folder.videos("a.avi") == folder.videos("a.MP4") == [root / "videos" / "a.mp4"]
    assert folder.videos("notes") == []
    assert folder.file(["none", "notes.txt"]) == root / "videos" / "notes.txt"


# --- the paper's figures ---------------------------------------------------------------------------------------------


def test_the_papers_figures_are_there_for_every_benchmark_that_it_shows():
    best = {
        (figure.benchmark, figure.metric): figure.value
        for name in names()
        for figure in published(name)
        if figure.model == PAPERS_BEST
    }
    assert best["kinetics400", "top_1"] == 64.80
    assert best["kinetics400", "top_5"] == 86.60  # 2 AVG - top-1
    assert best["kinetics700", "top_mean"] == 66.38
    assert best["msrvtt", "text_to_video_recall_at_1"] == 42.4
    assert best["msvd", "video_to_text_recall_at_1"] == 75.1
    assert best["activitynet", "text_to_video_recall_at_1"] == 15.1
    assert len(best) == 3 * 3 + 5 * 2
    assert len(published("msrvtt")) == 9 * 2 - 1  # CLIP4Clip reports one way only
    of_fine_tuned = {
        (figure.model, figure.metric): figure.value
        for figure in published_beside("msrvtt", ["text_to_video_recall_at_1", "matched_text_to_video_recall_at_1"])
    }
    assert of_fine_tuned["ViCLIP-L, InternVid-10M-DIV", "text_to_video_recall_at_1"] == 55.0
    assert of_fine_tuned["CLIP-L, OpenAI", "video_to_text_recall_at_1"] == 38.7
    heads = {figure.model: figure.value for figure in published_beside("ssv2", ["class_head_top_1"])[::2]}
    assert heads["ViCLIP-L, InternVid-200M, K710 first"] == 74.2
    assert published_beside("msrvtt", ["text_to_video_recall_at_1"]) == published("msrvtt")
    assert len(published("kinetics600")) == 12 * 3 - 2 * 2  # EVA-CLIP reports AVG only
