"""Lists that people hold in files: of videos to take in, and of spans with captions that others released."""
