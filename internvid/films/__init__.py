"""Sample films: rendered, seeded, with the truth written beside them."""
