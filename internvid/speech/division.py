"""Which words of a cue are said within a clip."""

from __future__ import annotations

import re

from internvid.speech.cues import Cue

VERSION = "words-1"
EDGE_SECONDS = 0.05  # of a cue, in which nothing is said yet or any more: subtitles and cuts meet no more exactly

# In Chinese and Japanese, which leave no space between words, each character with the punctuation behind it.
_WORD = re.compile(
    "[\u3041-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff][、。，！？：；」』）]*|"
    "[^\\s\u3041-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)


def words_within(cue: Cue, start_seconds: float, end_seconds: float) -> str:
    """The words of the cue that are said between the two times; empty where none is.

    A cue's words are taken to be said evenly, each for as long as it is written, and a word belongs where its middle
    lies. So a cue that reaches over a cut by its edge stays whole, one that lies across it is divided there, and each
    word is in exactly one of the clips that tile a video.
    """
    edge = min(EDGE_SECONDS, (cue.end_seconds - cue.start_seconds) / 2)
    said_from, seconds = cue.start_seconds + edge, cue.end_seconds - cue.start_seconds - 2 * edge
    words = list(_WORD.finditer(cue.text))
    letters = sum(len(word[0]) for word in words)
    said_before = 0
    inside = []
    for word in words:
        middle = said_from + (said_before + len(word[0]) / 2) / letters * seconds
        said_before += len(word[0])
        if start_seconds <= middle < end_seconds:
            inside.append(word)
    return cue.text[inside[0].start() : inside[-1].end()] if inside else ""
