"""What language models are trained on: interleaved documents, and dialogues about videos."""
