"""Files of prompts: what becomes of a line, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from internvid.generation.metrics.prompts import Request, requests, requests_in


def written(folder: Path, content: str, name: str = "prompts.txt") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def of_lines(folder: Path, *lines: object) -> Path:
    return written(folder, "".join(json.dumps(line) + "\n" for line in lines), "prompts.jsonl")


def test_a_prompt_of_a_text_file_gets_its_number_as_seed_or_each_seed_that_is_given(tmp_path):
    path = written(tmp_path, "\ufeffA red ball\n\n  a dog, barking \nA red ball\n")
    assert requests_in(path, None) == [
        Request("a-red-ball-0", "A red ball", 0),
        Request("a-dog-barking-1", "a dog, barking", 1),
        Request("a-red-ball-2", "A red ball", 2),
    ]
    assert requests_in(path, [5, 6]) == requests(["A red ball", "a dog, barking"], [5, 6])


def test_a_line_of_json_names_its_video_and_its_seed(tmp_path):
    lines = ({"video": "000-00", "prompt": "yoga"}, {"video": "a/b.mp4", "prompt": "yoga", "seed": 7}, {"prompt": "x"})
    assert requests_in(of_lines(tmp_path, *lines), None) == [
        Request("000-00", "yoga", 0),
        Request("a/b", "yoga", 7),
        Request("x-2", "x", 2),
    ]
    assert [request.video for request in requests_in(of_lines(tmp_path, lines[0]), [3, 4])] == ["000-00-3", "000-00-4"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"video": "../up", "prompt": "x"}, "is no name of a file within the folder"),
        ({"video": "/etc/x", "prompt": "x"}, "is no name of a file within the folder"),
        ({"video": "a" * 300, "prompt": "x"}, "is no name of a file within the folder"),
        ({"video": 3, "prompt": "x"}, "is no name of a file within the folder"),
        ({"video": "v", "prompt": " "}, "the prompt is no text, or empty"),
        ({"video": "v", "prompt": "x", "seed": -1}, "the seed -1 is no whole number"),
        ({"video": "v", "prompt": "x", "seed": True}, "the seed True is no whole number"),
        ({"video": "v"}, "no object of prompt"),
        ({"prompt": "x", "guidance": 3}, "no object of prompt"),
        (["x"], "no object of prompt"),
        ({"video": "first", "prompt": "y"}, "first is the name of two videos"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_line(line, what, tmp_path):
    with pytest.raises(ValueError, match=rf"prompts.jsonl, line 2: .*{what}"):
        requests_in(of_lines(tmp_path, {"video": "first", "prompt": "x"}, line), None)


def test_a_file_without_prompts_of_another_kind_or_with_two_seeds_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no prompt"):
        requests_in(written(tmp_path, "\n \n"), None)
    with pytest.raises(ValueError, match="line 1: no JSON"):
        requests_in(written(tmp_path, "a red ball\n", "prompts.jsonl"), None)
    (tmp_path / "latin.txt").write_bytes("Käse".encode("latin-1"))
    with pytest.raises(ValueError, match="is no UTF-8 text"):
        requests_in(tmp_path / "latin.txt", None)
    with pytest.raises(ValueError, match="a seed of its own"):
        requests_in(of_lines(tmp_path, {"prompt": "x", "seed": 1}), [2])
    with pytest.raises(FileNotFoundError):
        requests_in(tmp_path / "none.txt", None)
