"""Sample videos: rendered, seeded, with the truth written beside them."""
