"""Completes an export whose parts are done: files of the whole, the dataset card, and the manifest, which comes last.

Everything is read from the index of the parts, so it needs no lake: an export is completed in the same way after its
last part, and after videos were taken out of it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator

from internvid.cutting.clips import measured
from internvid.report.dataset_card import CARD, Facts, dataset_card
from internvid.report.whole_file import whole_file
from resources.corpus.exports.forms import form_named
from resources.corpus.exports.layout import SUCCESS, ExportFolder
from resources.corpus.exports.manifest import (
    MAX_FAILURES_LISTED,
    ExportFile,
    Failures,
    Head,
    ModelUse,
    Plan,
    write_manifest,
)
from resources.lake.published_files import MANIFEST


def complete(folder: ExportFolder, plan: Plan, *, selected: int, forgotten: int = 0) -> Head:
    """Writes what is of all parts together. Returns the manifest.

    selected: number of clips that were to be exported. forgotten: number of clips that were taken out of it.
    """
    form = form_named(plan.form)
    numbers = folder.numbers()
    content = hashlib.sha256()
    facts = Facts()
    by_class: Counter[str] = Counter()
    listed: list[dict[str, str]] = []
    for number in numbers:
        content.update(folder.index_path(number).read_bytes())
        for row in folder.rows(number):
            if row["status"] == SUCCESS:
                facts.add(row)
                continue
            by_class[row["error_class"]] += 1
            if len(listed) < MAX_FAILURES_LISTED:
                listed.append({name: row[name] for name in ("clip_id", "source", "error_class", "error_message")})
    names = list(form.whole(folder))
    with whole_file(folder.path / CARD) as card:
        card.write(
            dataset_card(
                facts,
                name=plan.subset or "all captioned clips",
                form=plan.form,
                configurations=form.configurations(facts),
                plan=plan.model_dump(),
                failed=sum(by_class.values()),
                forgotten=forgotten,
            )
        )
    whole = [_file(folder, name) for name in (CARD, *names)]
    head = Head(
        plan=plan,
        clips_selected=selected,
        clips_exported=facts.clips,
        forgotten=forgotten,
        failures=Failures(by_class=dict(sorted(by_class.items())), listed=listed),
        models=[
            ModelUse(role=role, model=model, version=version, clips=clips)
            for (role, model, version), clips in sorted(facts.models.items(), key=str)
        ],
        content_sha256=content.hexdigest(),
        bytes=sum(file.bytes for file in whole)
        + sum(file.bytes for number in numbers for file in folder.done_files(number)),
    )
    write_manifest(folder.path, head, _all_files(folder, numbers, whole))
    shutil.rmtree(folder.parts)
    return head


def _all_files(folder: ExportFolder, numbers: list[int], whole: list[ExportFile]) -> Iterator[ExportFile]:
    yield from whole
    for number in numbers:
        yield from folder.done_files(number)


def _file(folder: ExportFolder, name: str) -> ExportFile:
    assert name != MANIFEST
    size, sha256 = measured(folder.path / name)
    return ExportFile(file=name, bytes=size, sha256=sha256)
