"""Dialogues about a stretch of a video, as models that follow instructions are trained on them.

`facts`: what is known of a clip. `templates`: dialogues from facts alone. `written`: dialogues by a language model,
whose answers must name clips. `instructions`: the form in which trainers read them.
"""
