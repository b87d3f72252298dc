"""Dialogues by a language model: what is asked, what is taken, and what is refused with its text."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from facts_of_clips import clip

from internvid.dialogue.facts import Dialogue, Turn
from internvid.dialogue.written import DialogueWriter, RefusedDialogue
from internvid.text.generated import EmptyAnswer, Generated


class Scripted:
    """A writer that gives the answers in their order."""

    limit = "200 characters"

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def fits(self, prompt: str) -> bool:
        return len(prompt) <= 200

    def answer(self, prompts: Sequence[str]) -> list[Any]:
        self.asked += prompts
        return [self.answers.pop(0) for _ in prompts]


def written(answer: Any, *clips: Any) -> Any:
    (result,) = DialogueWriter(Scripted(answer), "{turns}: {clips}", 3).write([clips or (clip(0), clip(1))])
    return result


def answered(*turns: dict[str, Any], status: Any = "success", before: str = "") -> Generated:
    return Generated(before + json.dumps({"turns": list(turns)}), status, 10, 20)


TURN = {"question": "What is seen?", "answer": "A wave.", "clips": [2]}


def test_the_model_reads_every_clip_and_its_turns_name_clips_of_the_lake():
    script = Scripted(answered(TURN, before="Here it is: "))
    (dialogue,) = DialogueWriter(script, "{turns}: {clips}", 3).write([(clip(0, speech="Hi."), clip(1))])
    assert script.asked == ["3: clip 1, 0.0 to 4.0 s: caption 0 Said: Hi.\nclip 2, 4.0 to 8.0 s: caption 1"]
    facts = [{"clip_id": "v_1", "fact": "caption", "value": "caption 1"}]
    assert dialogue == Dialogue([Turn("written", "What is seen?", "A wave.", ["v_1"], facts)], "success", 10, 20)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answered(TURN | {"clips": []}), "names no clip"),
        (answered({"question": "What?", "answer": "A wave."}), "names no clip"),
        (answered(TURN, TURN | {"clips": [3]}), "names clip 3, and there are 1 to 2"),
        (answered(TURN | {"clips": [0]}), "names clip 0"),
        (answered(), "turns"),
        (answered(TURN | {"answer": ""}), "turns.0.answer"),
        (Generated("A wave rolls in."), "holds no JSON"),
        (Generated('{"turns": [{"question": "Wh}', "truncated"), "stopped at its limit of new tokens"),
    ],
)
def test_an_answer_that_names_no_clip_of_the_stretch_is_refused_with_its_text(answer: Generated, why: str):
    result = written(answer)
    assert isinstance(result, RefusedDialogue)
    assert why in str(result)
    assert f"The model wrote: {answer.text}" in str(result)


def test_an_error_of_the_server_stays_what_it_is_and_a_prompt_that_is_too_long_is_not_asked():
    error = EmptyAnswer("the answer holds no text")
    script = Scripted(error, answered(TURN))
    long_clip = clip(0, speech="word " * 100)
    results = DialogueWriter(script, "{clips}", 3).write([(clip(0),), (long_clip,), (clip(0), clip(1))])
    assert results[0] is error
    assert "more than the 200 characters" in str(results[1])
    assert isinstance(results[2], Dialogue)
    assert len(script.asked) == 2
