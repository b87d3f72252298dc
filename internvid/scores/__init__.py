"""Scores clips by a few of their frames: aesthetics, how well the caption fits, and written text in the picture.

Belongs here: computing a number from pictures (and a caption). Does not belong here: choosing the frames and storing
the scores, which the callers do.
"""
