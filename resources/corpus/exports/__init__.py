"""Exports: clips with captions, as files in the forms that trainers and hubs read.

`jsonl`: one file of lines, as InternVid was released. `selection`: which clips. `layout`: what lies where in the folder
of an export. `run`: makes one, part by part. `forms`: how parts are written. `whole`: completes it. `manifest`: what it
names, and its verification. `rewriting`: takes videos out of it. `register`: what was exported where.
"""
