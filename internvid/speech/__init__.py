"""Speech of a video: subtitles that came with it, recognition of its sound, and the division among clips."""
