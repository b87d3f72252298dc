"""Models of any make that embed videos and texts in one space: ours, and CLIP-like ones of `transformers`."""
