"""The card of a dataset says what is in it, counted, and what is not known of it."""

from __future__ import annotations

import yaml

from internvid.report.dataset_card import Facts, dataset_card


def row(video_id: str, **differing: object) -> dict[str, object]:
    return {
        "video_id": video_id,
        "split": "train",
        "start_seconds": 1.0,
        "end_seconds": 4.0,
        "source": f"https://www.vimeo.com/{video_id}",
        "licence": None,
        "file": "a.mp4",
        "audio_codec": "aac",
        "clip_bytes": 1_000,
        "flags": [],
        "is_imported": False,
        "caption_status": "success",
        "caption_verdict": None,
        "caption_model": "blip2",
        "caption_version": "blip2 1",
        "word_count": 4,
        "transcript": None,
        "transcript_language": None,
        "transcript_model": None,
        "transcript_source": None,
        "scores": {},
        "score_models": {},
    } | differing


def card_of(*rows: dict[str, object], **differing: object) -> tuple[dict[str, object], list[str]]:
    """The YAML, and the lines of the text."""
    facts = Facts()
    for each in rows:
        facts.add(each)
    plan = {"clips": "exact", "max_height": 240, "fps": None, "subset": "flt", "values": {"share": 0.3, "clips": None}}
    plan |= {"snapshot": "corpus-1", "software": {"av": "18"}}
    options = {"configurations": [{"split": "train", "path": "data/train-*"}], "failed": 0, "forgotten": 0} | differing
    text = dataset_card(facts, name="flt", form="hf", plan=plan, **options)
    _, front_matter, body = text.split("---\n", 2)
    return yaml.safe_load(front_matter), body.splitlines()


def test_licences_sources_and_models_are_counted_by_video_and_by_clip():
    _, lines = card_of(
        row("a", licence="CC BY 4.0"),
        row("a", licence="CC BY 4.0", scores={"aesthetics": 5.0}, score_models={"aesthetics": "laion"}),
        row("b", source="file:///b.mp4", is_imported=True),
        row("c", licence="CC BY 4.0", caption_status="truncated"),
    )
    assert "| CC BY 4.0 | 2 |" in lines
    assert "| not stated | 1 |" in lines
    assert {"| vimeo.com | 2 |", "| files | 1 |"} <= set(lines)
    assert {"| caption | blip2 | blip2 1 | 4 |", "| score aesthetics | laion |  | 1 |"} <= set(lines)
    limits = " ".join(line for line in lines if line.startswith("* "))
    assert "25% came with spans that others released. No person has checked any of them here." in limits
    assert "share of the clips: aesthetics 25%" in limits
    assert "25.0% of the captions were cut off" in limits
    assert "A licence is stated for 67% of the videos" in limits


def test_captions_that_people_judged_are_counted_by_verdict():
    _, lines = card_of(
        row("a", caption_verdict="good"), row("a", caption_verdict="good"), row("b"), row("c", caption_verdict="wrong")
    )
    assert any(line.endswith("judged the captions of 3 clips here: 2 good, 1 wrong.") for line in lines)


def test_it_says_how_to_rebuild_the_dataset_and_how_a_reader_finds_its_files():
    fields, lines = card_of(row("a"), failed=3, forgotten=2)
    assert fields["configs"] == [
        {"config_name": "flt", "default": True, "data_files": [{"split": "train", "path": "data/train-*"}]}
    ]
    begin = lines.index("```")
    assert lines[begin + 1 : begin + 4] == [
        "internvid ingest VIDEOS",
        "internvid subset make flt --set share=0.3 --set clips=null",
        "internvid export OUT --form hf --clips exact --height 240 --subset flt",
    ]
    assert any("3 selected clips could not be cut" in line for line in lines)
    assert any("2 clips were taken out later" in line for line in lines)


def test_a_name_that_would_break_the_table_does_not():
    _, lines = card_of(row("a", licence="mine | yours\nnobody's"))
    assert "| mine \\| yours nobody's | 1 |" in lines
