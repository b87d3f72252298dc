"""Subtitle files as people have them: every cue is read to within 50 ms, or counted as unreadable."""

from __future__ import annotations

import pytest
from odd_subtitles import FPS, OddFile, odd_files

from internvid.speech.cues import plain_lines
from internvid.speech.forms.detection import read_cues
from internvid.speech.subtitles import text_of


@pytest.mark.parametrize("odd", odd_files(200, seed=14), ids=lambda odd: odd.name)
def test_every_cue_is_read_or_counted(odd: OddFile) -> None:
    (reading,) = read_cues(text_of(odd.data), FPS)
    read = [(cue, " ".join(plain_lines(cue.text))) for cue in reading.cues]
    read = [(cue, words) for cue, words in read if words]
    text = text_of(odd.data)
    assert [words for _, words in read] == [cue.words for cue in odd.cues], text
    for (cue, _), spoken in zip(read, odd.cues, strict=True):
        assert (cue.start_seconds, cue.end_seconds) == pytest.approx((spoken.start, spoken.end), abs=0.05), text
    assert len(reading.unread) == odd.unreadable, (reading.unread, text)
