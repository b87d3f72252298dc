"""Scores of a clip by some of its frames: how it looks, how well its caption fits, what is written over it.

Belongs here: what makes a number of pictures (and a caption). Which frames are looked at, and where the numbers go, is
the business of whoever calls.
"""
