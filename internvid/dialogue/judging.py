"""What a language model is asked of a chat's answer, and what is read from its reply.

The five aspects are those of the Video-ChatGPT benchmark, on its scale from 0 to 5. The wording is ours: figures by
another wording, or another judge, are other figures.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

VERSION = "judged-1"  # count it up with any change to the prompts, or to how replies are read
MAX_SCORE = 5

# What each aspect weighs.
_WEIGHED = {
    "correctness": "whether what it says is correct: whether it agrees with the right answer in facts, and adds "
    "nothing that contradicts it. Other words for the same thing are right",
    "detail": "how complete and how specific it is: whether it has the main points of the right answer, and says them "
    "in particulars and not in general words",
    "context": "whether it understands what the video is about as a whole: whether its main idea is that of the right "
    "answer",
    "temporal": "whether it understands time: whether events are in the order of the right answer, and stand where the "
    "question asks for them",
    "consistency": "whether both answers say the same and agree with the right answer: they answer the same question, "
    "asked in two ways",
    "answer": "whether it means the same as the right answer. Other words for the same thing are right",
}
ASPECTS = tuple(_WEIGHED)
# Kind of a question of the Video-ChatGPT benchmark -> what its answer is judged on.
VIDEO_CHATGPT = {
    "generic": ("correctness", "detail", "context"),
    "temporal": ("temporal",),
    "consistency": ("consistency",),
}

_PROMPT = (
    "Somebody watched a video and was asked about it. You know the right answer. Judge {weighed}.\n\n"
    "{asked}\n\n"
    "Answer with JSON alone: {form}. The score is a whole number from 0 (not at all) to 5 (fully)."
)
_OPENED = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Asked:
    """What is judged. other_question, other_answer: of consistency: the same asked in other words."""

    question: str
    expected: str
    answer: str
    other_question: str = ""
    other_answer: str = ""


@dataclass(frozen=True)
class Verdict:
    """score: 0 to 5. is_right: of the aspect `answer`; None of others."""

    score: float
    is_right: bool | None = None


class UnreadableVerdict(ValueError):
    """A reply that gives no score. Its text quotes the reply."""


def judge_prompt(aspect: str, asked: Asked) -> str:
    """Returns the prompt of an aspect, a name of ASPECTS."""
    lines = [f"Question: {asked.question}"]
    if asked.other_question:
        lines.append(f"The same, asked in another way: {asked.other_question}")
    lines += [f"Right answer: {asked.expected}", f"Answer to judge: {asked.answer or '(none)'}"]
    if asked.other_question:
        lines.append(f"Answer to the second way of asking: {asked.other_answer or '(none)'}")
    form = '{"right": "yes" or "no", "score": 4}' if aspect == "answer" else '{"score": 4}'
    return _PROMPT.format(weighed=_WEIGHED[aspect], asked="\n".join(lines), form=form)


def read_verdict(aspect: str, reply: str) -> Verdict:
    """Reads the last JSON object of a judge's reply. Raises UnreadableVerdict where it gives no score from 0 to 5."""
    objects = _OPENED.findall(reply)
    try:
        content = json.loads(objects[-1])
        score = float(content["score"])
        right = str(content["right"]).strip().lower() if aspect == "answer" else None
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableVerdict(f"the judge gave no score: {reply[:200]!r}") from error
    if not 0 <= score <= MAX_SCORE or right not in (None, "yes", "no"):
        raise UnreadableVerdict(f"the judge's score is none from 0 to {MAX_SCORE}: {reply[:200]!r}")
    return Verdict(score, None if right is None else right == "yes")
