"""What a judge is asked, and what is read from its replies; answers that are equal word for word."""

import pytest

from internvid.dialogue.judging import ASPECTS, VIDEO_CHATGPT, Asked, UnreadableVerdict, judge_prompt, read_verdict
from internvid.evaluation.answers import guessing_share, is_exact


@pytest.mark.parametrize("aspect", ASPECTS)
def test_a_prompt_shows_question_answers_and_what_is_weighed(aspect):
    prompt = judge_prompt(aspect, Asked("What is {it}?", "A red car.", "A bus."))
    for text in ("What is {it}?", "Right answer: A red car.", "Answer to judge: A bus.", '"score"'):
        assert text in prompt
    assert ('"right"' in prompt) == (aspect == "answer")
    assert len({judge_prompt(each, Asked("q", "e", "a")) for each in ASPECTS}) == len(ASPECTS)


def test_consistency_shows_both_ways_of_asking():
    prompt = judge_prompt("consistency", Asked("Who?", "A man.", "A man.", "Which person?", ""))
    assert "The same, asked in another way: Which person?" in prompt
    assert "Answer to the second way of asking: (none)" in prompt
    assert sum(map(len, VIDEO_CHATGPT.values())) == 5


@pytest.mark.parametrize(
    ("aspect", "reply", "score", "is_right"),
    [
        ("detail", '{"score": 4}', 4, None),
        ("detail", 'Thinking {"score": 1} … so:\n```json\n{"score": "3.5"}\n```', 3.5, None),
        ("answer", '{"right": "Yes", "score": 5}', 5, True),
        ("answer", '{"right": "no", "score": 0}', 0, False),
    ],
)
def test_the_last_object_of_a_reply_is_read(aspect, reply, score, is_right):
    verdict = read_verdict(aspect, reply)
    assert (verdict.score, verdict.is_right) == (score, is_right)


@pytest.mark.parametrize(
    ("aspect", "reply"),
    [
        ("detail", "It is good: 4 of 5."),
        ("detail", '{"score": 6}'),
        ("detail", '{"score": null}'),
        ("answer", '{"score": 3}'),
        ("answer", '{"right": "maybe", "score": 3}'),
        ("detail", ""),
    ],
)
def test_a_reply_without_a_score_is_none(aspect, reply):
    with pytest.raises(UnreadableVerdict):
        read_verdict(aspect, reply)


def test_answers_are_equal_but_for_case_and_punctuation_around_them():
    assert is_exact(" Red car. ", "red  car")
    assert is_exact("“Yes!”", "yes")
    assert not is_exact("a red car", "red car")
    assert guessing_share(["yes", "Yes.", "no", "two"]) == 0.5
    assert guessing_share([]) == 0
