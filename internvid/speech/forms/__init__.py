"""Reads the text of subtitle files into cues: one module for each family of forms, and `detection`, which chooses it.

A form's module reads what people and programs write, not what its standard allows. What it cannot read it counts, by
line, so that no cue is lost without a word. It knows nothing of videos: clocks, languages of files and the choice among
several files belong in `internvid.speech.subtitles`, the cleaning of cues in `internvid.speech.cues`.
"""
