"""What is said in a video: subtitles that came with it, speech recognised in its sound, and which clip says what."""
