"""Reading video: what a file is, where its cuts are, its sampled frames and how it moves."""
