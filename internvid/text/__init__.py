"""Text by language models: generation, summaries, translations."""
