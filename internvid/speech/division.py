"""Divides the words of a cue among clips."""

from __future__ import annotations

import re

from internvid.speech.cues import Cue

VERSION = "words-1"
EDGE_SECONDS = 0.05  # silent at both ends of a cue: the times of subtitles and cuts agree no better

# A word; in Chinese and Japanese, which write no spaces, each character with the punctuation that follows it.
_WORD = re.compile(
    "[\u3041-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff][、。，！？：；」』）]*|"
    "[^\\s\u3041-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)


def words_within(cue: Cue, start_seconds: float, end_seconds: float) -> str:
    """Returns the words of the cue that are said between the two times; empty if there are none.

    Assumes that the words follow each other without pauses, each as long as its number of letters, and assigns a word
    by its middle. So a cue that crosses a cut only by its edge stays whole, a cue that lies across a cut is divided
    there, and each word is in exactly one of the clips that tile a video.
    """
    edge = min(EDGE_SECONDS, (cue.end_seconds - cue.start_seconds) / 2)
    speech_start, seconds = cue.start_seconds + edge, cue.end_seconds - cue.start_seconds - 2 * edge
    words = list(_WORD.finditer(cue.text))
    letters = sum(len(word[0]) for word in words)
    letters_before = 0
    inside = []
    for word in words:
        middle = speech_start + (letters_before + len(word[0]) / 2) / letters * seconds
        letters_before += len(word[0])
        if start_seconds <= middle < end_seconds:
            inside.append(word)
    return cue.text[inside[0].start() : inside[-1].end()] if inside else ""
