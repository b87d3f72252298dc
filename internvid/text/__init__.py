"""Text by language models: what they write, summaries, translations."""
