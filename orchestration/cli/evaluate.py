"""`internvid evaluate`: a checkpoint on a benchmark that lies in a folder, printed beside the paper's figures."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import settings_of
from orchestration.cli.output import console, notes

if TYPE_CHECKING:
    import torch

    from internvid.evaluation.benchmarks import Benchmark, Item
    from internvid.evaluation.effects import Effect
    from internvid.evaluation.protocol import Protocol
    from internvid.evaluation.run import Evaluation
    from internvid.viclip.precision import Precision
    from internvid.video_text.folders import LoadedEncoder

EXAMPLES_SHOWN = 5


def evaluate_command(
    checkpoint: Path,
    *,
    benchmark: str,
    data: Path,
    frames: int | None = None,
    protocol: "Protocol | None" = None,
    shows_effects: bool = False,
    initial: Path | None = None,
    split: str | None = None,
    probes: Sequence[str] = (),
    vectors: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    precision: "Precision | None" = None,
    workers: int | None = None,
    name: str | None = None,
) -> "Evaluation":
    """Evaluates the checkpoint in a folder, and prints and returns the evaluation.

    benchmark: a name of `internvid.evaluation.benchmarks.names`. data: the folder with its annotation file and videos.
    frames: of each video; None: as many as the model was made for. protocol: None: the model's own. shows_effects: also
    print what each setting changes. initial: folder of the checkpoint that this one began as, for the WiSE-FT sweep
    among them. split: None: the paper's. probes: names of `internvid.evaluation.run.PROBES`, trained on the train split
    of a classification benchmark. vectors: folder that keeps the vectors of videos, which are then not decoded again.
    out: JSON file for all figures. device, precision, workers: as the settings of these names; None: what is set.
    name: printed name of the checkpoint; None: its folder's name.
    Raises typer.BadParameter for mistakes of the user.
    """
    from internvid.evaluation.benchmarks import names
    from internvid.evaluation.protocol import Protocol

    protocol = protocol or Protocol()
    if benchmark not in names():
        raise typer.BadParameter(f"there is no benchmark {benchmark!r}; there are {', '.join(names())}")
    if frames is not None and frames < 1:
        raise typer.BadParameter(f"{frames} frames show nothing")
    if not checkpoint.is_dir():
        raise typer.BadParameter(f"there is no checkpoint folder {checkpoint}")
    if initial is not None and not shows_effects:
        raise typer.BadParameter("--wise-ft is one of the effects: give --effects too")
    test = _read(benchmark, data, split)
    if probes and test.task != "classification":
        raise typer.BadParameter(f"a probe needs classes, and {test.title} has none")
    train = _read(benchmark, data, "train") if probes else None

    from internvid.evaluation.run import NothingToEvaluate, evaluate
    from internvid.viclip.device import device_named
    from internvid.video_text.folders import encoder_digest
    from resources.incremental.progress import progress
    from resources.training.benchmarks import read_in_children, vector_files

    settings = settings_of()
    children = workers or settings.workers
    loaded = _load(checkpoint, device_named(device or settings.device), frames, precision or settings.precision)
    try:
        encoder = protocol.applied_to(loaded)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    files = None
    if vectors is not None:
        prepared = f"{protocol.fit} {protocol.resampling} {protocol.constants}"
        version = f"{encoder_digest(checkpoint)}+{encoder.precision}+{prepared}"
        files = vector_files(vectors, version, encoder.frames, protocol.choice)

    def read_frames(items: "Iterable[Item]", count: int, choice: str) -> "Iterator[tuple[Item, Any]]":
        return read_in_children(items, count, choice, workers=children)

    total = len(test.items) + (len(train.items) if train else 0)
    try:
        with progress("reading videos", total, notes.print) as advance:
            evaluation = evaluate(
                encoder,
                test,
                read_frames,
                choice=protocol.choice,
                counts_missing=protocol.counts_missing,
                probe_train=train,
                probes=probes,
                vector_files=files,
                on_videos=advance,
            )
    except NothingToEvaluate as error:
        raise typer.BadParameter(str(error)) from error
    evaluation = replace(evaluation, notes=(*evaluation.notes, *_notes_on_length(encoder, test)))
    print_evaluation(evaluation, name or checkpoint.name, precision=encoder.precision)
    rows: list[Effect] = []
    if shows_effects:
        from internvid.evaluation.effects import effects
        from resources.lake.temporary_folders import temporary_folder

        began_as = None if initial is None else _weights(initial)
        try:
            with temporary_folder() as folder:
                rows = effects(loaded, test, read_frames, protocol, vectors_folder=folder, initial=began_as)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        print_effects(rows)
    if out is not None:
        write_evaluation(
            evaluation,
            out,
            checkpoint=str(checkpoint),
            digest=encoder_digest(checkpoint),
            precision=encoder.precision,
            protocol=asdict(protocol),
            effects=[asdict(row) for row in rows],
        )
        console.print(f"all figures in {out}", markup=False, soft_wrap=True)
    return evaluation


def print_evaluation(evaluation: "Evaluation", model: str, *, precision: str) -> None:
    """Prints our figures beside chance and the paper's best, the paper's table with our row, and missing videos.

    precision: that the vectors were computed in.
    """
    from internvid.evaluation.published import PAPER, PAPERS_BEST, published

    known = published(evaluation.benchmark)
    best = {figure.metric: figure.value for figure in known if figure.model == PAPERS_BEST}
    title = (
        f"{evaluation.title} {evaluation.split}: {model}, {evaluation.frames} frames ({evaluation.choice}), "
        f"{precision}, {evaluation.evaluated:,} of {evaluation.named:,} videos"
    )
    columns = ["metric", "% or rank", "chance", "over", *([f"paper: {PAPERS_BEST}"] if best else [])]
    table = TextTable(*columns, title=escape(title), title_justify="left")
    for metric in evaluation.metrics:
        paper = [_figure(best.get(metric.name), "%")] if best else []
        table.add_row(
            metric.name.replace("_", " "),
            _figure(metric.value, metric.unit),
            _figure(metric.chance, metric.unit),
            f"{metric.count:,}",
            *paper,
        )
    console.print(table)
    if known:
        ours = {metric.name: metric.value for metric in evaluation.metrics}
        metrics = list(dict.fromkeys(figure.metric for figure in known))
        rows: dict[tuple[str, str], dict[str, float]] = {(figure.model, figure.source): {} for figure in known}
        for figure in known:
            rows[figure.model, figure.source][figure.metric] = figure.value
        beside = TextTable(
            "model, training data",
            *(metric.replace("_", " ") for metric in metrics),
            "from",
            title=f"Beside the paper's figures ({PAPER})",
            title_justify="left",
        )
        beside.add_row(escape(model), *(_figure(ours.get(metric), "%") for metric in metrics), "this run")
        for (of_model, source), values in rows.items():
            beside.add_row(
                of_model, *(_figure(values.get(metric), "%") for metric in metrics), source.removeprefix(f"{PAPER}, ")
            )
        console.print(beside)
    for note in evaluation.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    _print_absent("not in the folder", evaluation.missing)
    _print_absent("unreadable", [f"{failed.video}: {failed.error}" for failed in evaluation.failed])


def print_effects(rows: "Sequence[Effect]") -> None:
    """Prints the metrics under each setting, and the difference to the first row."""
    base = rows[0].values
    table = TextTable(title="What each setting changes, one at a time", title_justify="left")
    table.add_column("setting", no_wrap=True)
    for metric in base:
        table.add_column(f"{metric.replace('_', ' ')}, %")
        table.add_column("difference")
    for row in rows:
        cells = [(f"{value:.2f}", f"{value - base[metric]:+.2f}") for metric, value in row.values.items()]
        table.add_row(row.setting, *(cell for pair in cells for cell in pair))
    console.print(table)


def write_evaluation(evaluation: "Evaluation", path: Path, **about: Any) -> None:
    """Writes the evaluation as JSON, with the paper's figures, whole or not at all. about: further fields."""
    from internvid.evaluation.published import published
    from internvid.report.whole_file import whole_file

    content = about | asdict(evaluation) | {"published": [asdict(known) for known in published(evaluation.benchmark)]}
    with whole_file(path) as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _read(benchmark: str, data: Path, split: str | None) -> "Benchmark":
    from internvid.evaluation.benchmarks import read_benchmark

    try:
        return read_benchmark(benchmark, data, split=split)
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _load(folder: Path, device: "torch.device", frames: int | None, precision: "Precision") -> "LoadedEncoder":
    from internvid.video_text.folders import load_encoder

    try:
        return load_encoder(folder, device, frames=frames, precision=precision)
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _weights(folder: Path) -> "dict[str, torch.Tensor]":
    from internvid.viclip.checkpoint import load_checkpoint

    try:
        return load_checkpoint(folder).model.state_dict()
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def _notes_on_length(encoder: "LoadedEncoder", benchmark: "Benchmark") -> list[str]:
    """Returns a note where texts are longer than the model's context, as paragraphs are in the published evaluation."""
    from internvid.evaluation.run import preparation

    prepare = preparation(encoder)
    texts = [prepare(text) for item in benchmark.items for text in item.texts]
    full = encoder.full_texts(texts) if texts else 0
    longest = encoder.context_length
    return [f"{full:,} of {len(texts):,} texts reach the {longest} tokens that the model reads"] if full else []


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if unit == "%" else f"{value:,.1f}"


def _print_absent(what: str, lines: "Iterable[str]") -> None:
    absent = list(lines)
    if not absent:
        return
    console.print(
        f"{len(absent):,} {what}" + (f"; the first {EXAMPLES_SHOWN}:" if len(absent) > EXAMPLES_SHOWN else ":")
    )
    for line in absent[:EXAMPLES_SHOWN]:
        console.print(f"  {escape(line)}", highlight=False)
