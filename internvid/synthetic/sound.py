"""Synthesizes sound for the videos: chords, a beat and hiss."""

from __future__ import annotations

import zlib

import numpy as np

from internvid.synthetic.plans import VideoPlan

SAMPLES_PER_SECOND = 48_000  # what both AAC and Opus take
CHORDS_HZ = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (174.6, 220.0, 261.6), (246.9, 311.1, 370.0))


def soundtrack(plan: VideoPlan, *, seconds: float, boundaries: list[float], seed: int) -> np.ndarray:
    """Makes the video's mono sound: [samples] float32 within -1 to 1.

    boundaries: seconds at which a new shot begins; the chord changes there, so that listeners can check the cuts.
    """
    rng = np.random.default_rng([seed, zlib.crc32(plan.name.encode()), 4])
    moment = np.arange(int(seconds * SAMPLES_PER_SECOND), dtype=np.float32) / SAMPLES_PER_SECOND
    chord_at = np.searchsorted(np.asarray(boundaries, np.float32), moment, side="right")
    sound = 0.02 * rng.standard_normal(len(moment), dtype=np.float32)
    for number in np.unique(chord_at):
        inside = chord_at == number
        since = moment[inside] - moment[inside][0]
        envelope = np.minimum(1, since * 20) * (0.35 + 0.65 * np.exp(-1.5 * since))
        pitch = CHORDS_HZ[(number + int(rng.integers(0, 2))) % len(CHORDS_HZ)]
        for hertz in pitch:
            sound[inside] += 0.1 * envelope * np.sin(2 * np.pi * hertz * since)
    beat = moment % 0.5
    sound += 0.12 * np.exp(-30 * beat) * np.sin(2 * np.pi * 70 * beat)
    return np.clip(sound, -1, 1).astype(np.float32)
