"""Questions about synthetic videos: each answer is that of the ground truth, and names the shots that show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from internvid.synthetic.questions import KINDS, caption_of, question_videos, questions_about


@dataclass(frozen=True)
class Seen:
    shape: str
    colour: str
    direction: str


SHOTS = [Seen("car", "red", "left"), Seen("star", "blue", "up"), Seen("car", "green", "left")]


@pytest.fixture(scope="module")
def asked() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Everything that is asked about the shots, over many draws."""
    drawn = [question for seed in range(40) for question in questions_about(SHOTS, np.random.default_rng(seed))]
    assert {question.kind for question in drawn} == set(KINDS)
    return {question.question: (question.answer, question.shots) for question in drawn}


@pytest.mark.parametrize(
    ("question", "answer", "shots"),
    [
        ("Which object is red?", "A car.", (1,)),
        ("Which object moves up?", "A star.", (2,)),
        ("What colour is the star?", "Blue.", (2,)),
        ("Which way does the star move?", "Up.", (2,)),
        ("What comes first?", "A red car.", (1,)),
        ("What comes last?", "A green car.", (3,)),
        ("Is there a car?", "Yes.", (1, 3)),
        ("Is there a balloon?", "No.", ()),
        ("How many shots show a car?", "2.", (1, 3)),
        ("How many shots show a square?", "0.", ()),
        ("What colour is the balloon?", "There is no balloon.", ()),
        ("Which way does the square move?", "There is no square.", ()),
    ],
)
def test_an_answer_is_that_of_the_truth(asked, question, answer, shots):
    assert asked[question] == (answer, shots)


@pytest.mark.parametrize(
    "question", ["What colour is the car?", "Which way does the car move?", "Which object moves to the left?"]
)
def test_nothing_is_asked_that_has_two_answers(asked, question):
    assert question not in asked


def test_no_held_out_video_is_one_to_train_on():
    videos = question_videos(train=60, held_out=20)

    def shown(plan):
        return tuple(caption_of(shot.figures[0]) for shot in plan.shots)

    assert not {shown(plan) for plan in videos.train} & {shown(plan) for plan in videos.held_out}
    assert (len(videos.train), len(videos.held_out)) == (60, 20)
    assert {len(plan.shots) for plan in videos.train} == {2, 3, 4}
