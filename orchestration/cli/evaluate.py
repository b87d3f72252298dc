"""`internvid evaluate`: a checkpoint on a benchmark that lies in a folder, printed beside the paper's figures."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    from internvid.evaluation.run import Evaluation, Metric
    from internvid.evaluation.stored_vectors import VectorFiles
    from internvid.viclip.precision import Precision
    from internvid.video_text.folders import LoadedEncoder
    from resources.lake.store import Lake

EXAMPLES_SHOWN = 5


def evaluate_command(
    checkpoint: Path,
    *,
    benchmark: str,
    data: Path,
    frames: int | None = None,
    protocol: "Protocol | None" = None,
    shows_effects: bool = False,
    base: Path | None = None,
    shares: Sequence[float] = (),
    split: str | None = None,
    probes: Sequence[str] = (),
    probe_seed: int = 0,
    probe_epochs: int | None = None,
    vectors: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    precision: "Precision | None" = None,
    workers: int | None = None,
    name: str | None = None,
    lake: "Lake | None" = None,
) -> "Evaluation":
    """Evaluates the checkpoint in a folder, and prints and returns the evaluation.

    benchmark: a name of `internvid.evaluation.benchmarks.names`. data: the folder with its annotation file and
    videos. frames: of each video; None: as many as the model was made for. protocol: None: the model's own.
    shows_effects: also print what each setting changes. base: folder of the checkpoint that this one began as.
    shares: of the trained weights in averages with it (WiSE-FT), each of which is evaluated too; with shows_effects
    some unless given. split: None: the paper's. probes: names of `internvid.evaluation.run.PROBES`, trained on the
    train split of a classification benchmark, with probe_seed, the attentive one for probe_epochs. vectors: folder
    that keeps the vectors of videos, which are then not decoded again; None: the lake's, where there is one. out:
    JSON file for all figures. device, precision, workers: as the settings of these names; None: what is set. name:
    printed name of the checkpoint; None: its folder's name. lake: where each metric becomes a row of the table
    evaluations; what is there is not measured again. None: nothing is kept.
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
    if shares and base is None:
        raise typer.BadParameter("--wise-ft averages with the checkpoint that this one began as: give --base too")
    if base is not None and not shares and not shows_effects:
        raise typer.BadParameter("--base is for averages with it: give --wise-ft 0,0.5,1, or --effects")
    test = _read(benchmark, data, split)
    if probes and test.task != "classification":
        raise typer.BadParameter(f"a probe needs classes, and {test.title} has none")
    train = _read(benchmark, data, "train") if probes else None

    from internvid.evaluation.effects import averaged
    from internvid.evaluation.run import ATTENTIVE, ProbeTraining, evaluate
    from internvid.evaluation.stored_vectors import SECONDS_UNUSED
    from internvid.viclip.device import device_named
    from internvid.video_text.folders import encoder_digest
    from resources.incremental.progress import progress
    from resources.incremental.provenance import digest
    from resources.lake.paths import folder_on_this_machine
    from resources.lake.temporary_folders import temporary_folder
    from resources.training.benchmarks import VECTORS_FOLDER, content_digest, read_in_children, vector_files

    settings = settings_of()
    children = workers or settings.workers
    loaded = _load(checkpoint, device_named(device or settings.device), frames, precision or settings.precision)
    try:
        encoder = protocol.applied_to(loaded)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    began_as = None if base is None else _weights(base)
    own_digest, shown_name = encoder_digest(checkpoint), name or checkpoint.name
    files = None
    unused = None
    if vectors is None and lake is not None:
        vectors, unused = folder_on_this_machine(lake.root, VECTORS_FOLDER), SECONDS_UNUSED
    if vectors is not None:
        prepared = f"{protocol.fit} {protocol.resampling} {protocol.constants}"
        version = f"{own_digest}+{encoder.precision}+{prepared}"
        files = vector_files(vectors, version, encoder.frames, protocol.choice, seconds_unused=unused)

    def read_frames(items: "Iterable[Item]", count: int, choice: str) -> "Iterator[tuple[Item, Any]]":
        return read_in_children(items, count, choice, workers=children)

    total = len(test.items) + (len(train.items) if train else 0)

    def measured(of: Any, weights: str, words: str, kept: "VectorFiles | None" = None) -> "Evaluation":
        """Evaluates, or reads what the lake has. weights: digest of the model's. words: what is special of it."""

        def measure() -> "Evaluation":
            with progress("reading videos", total, notes.print) as advance, temporary_folder() as scratch:
                # Tokens of many videos do not fit into memory.
                for_now = vector_files(scratch, weights, of.frames, protocol.choice) if ATTENTIVE in probes else None
                return evaluate(
                    of,
                    test,
                    read_frames,
                    choice=protocol.choice,
                    counts_missing=protocol.counts_missing,
                    probe_train=train,
                    probes=probes,
                    probe_training=ProbeTraining(probe_seed, probe_epochs),
                    vector_files=kept or for_now,
                    on_videos=advance,
                )

        if lake is None:
            return measure()
        from assets.model.measured_evaluations import Measurement, measured_once, stored_metrics

        parts = [f"{of.frames} frames ({protocol.choice})", of.precision, protocol.settings_in_words, words]
        if probes:
            parts.append(f"probes {' '.join(probes)}")
            parts += [f"seed {probe_seed}"] if probe_seed else []
            parts += [f"{probe_epochs} epochs"] if probe_epochs else []
        content = content_digest(test) if train is None else digest(content_digest(test), content_digest(train))
        measurement = Measurement(shown_name, weights, test.name, test.split, ", ".join(filter(None, parts)), content)
        fresh = measured_once(lake, measurement, measure)
        return fresh or _stored(stored_metrics(lake, measurement), of, test, protocol)

    try:
        evaluation = measured(encoder, own_digest, "", files)
        evaluation = replace(evaluation, notes=(*evaluation.notes, *_notes_on_length(encoder, test)))
        print_evaluation(evaluation, shown_name, precision=encoder.precision)
        sweep = {}
        if base is not None and began_as is not None and shares:
            of_base = encoder_digest(base)
            for share in shares:
                between = protocol.applied_to(averaged(loaded, began_as, share))
                words = f"WiSE-FT {share:g} with {base.name}"
                sweep[share] = measured(between, digest(own_digest, of_base, share), words)
            print_sweep(sweep)
        rows: list[Effect] = []
        if shows_effects:
            from internvid.evaluation.effects import WISE_FT_SHARES, effects

            with temporary_folder() as folder:
                rows = effects(
                    loaded,
                    test,
                    read_frames,
                    protocol,
                    vectors_folder=folder,
                    initial=began_as,
                    shares=shares or WISE_FT_SHARES,
                )
            print_effects(rows)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if out is not None:
        write_evaluation(
            evaluation,
            out,
            checkpoint=str(checkpoint),
            digest=own_digest,
            precision=encoder.precision,
            protocol=asdict(protocol),
            effects=[asdict(row) for row in rows],
            wise_ft={f"{share:g}": [asdict(metric) for metric in of.metrics] for share, of in sweep.items()},
        )
        console.print(f"all figures in {out}", markup=False, soft_wrap=True)
    return evaluation


def print_evaluation(evaluation: "Evaluation", model: str, *, precision: str) -> None:
    """Prints our figures beside chance and the paper's best, the paper's table with our row, and missing videos.

    precision: that the vectors were computed in.
    """
    from internvid.evaluation.published import PAPER, PAPERS_BEST, published_beside

    known = published_beside(evaluation.benchmark, [metric.name for metric in evaluation.metrics])
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


def print_sweep(sweep: "Mapping[float, Evaluation]") -> None:
    """Prints metrics of averages with the checkpoint that this one began as, by the share of the trained weights."""
    from internvid.evaluation.effects import sweep_metrics

    table = TextTable(title="WiSE-FT: averages with the checkpoint that it began as", title_justify="left")
    table.add_column("trained share", no_wrap=True)
    names: list[str] = []
    for share, evaluation in sweep.items():
        values = {metric.name: metric.value for metric in evaluation.metrics}
        if not names:
            names = sweep_metrics(evaluation.task, values)
            for metric in names:
                table.add_column(f"{metric.replace('_', ' ')}, %")
        table.add_row(f"{share:g}", *(f"{values[metric]:.2f}" for metric in names))
    console.print(table)


def _stored(metrics: "Sequence[Metric]", encoder: Any, benchmark: "Benchmark", protocol: "Protocol") -> "Evaluation":
    """Returns the evaluation of metrics that the lake has: which videos could not be read is not among them."""
    from internvid.evaluation.run import Evaluation

    return Evaluation(
        benchmark.name,
        benchmark.title,
        benchmark.task,
        benchmark.split,
        encoder.frames,
        protocol.choice,
        tuple(metrics),
        benchmark.named,
        len(benchmark.items),
        benchmark.missing,
        (),
        (
            *benchmark.notes,
            "from the table evaluations: model, protocol and data are as they were, so nothing was read",
        ),
    )


def write_evaluation(evaluation: "Evaluation", path: Path, **about: Any) -> None:
    """Writes the evaluation as JSON, with the paper's figures, whole or not at all. about: further fields."""
    from internvid.evaluation.published import published_beside
    from internvid.report.whole_file import whole_file

    known = published_beside(evaluation.benchmark, [metric.name for metric in evaluation.metrics])
    content = about | asdict(evaluation) | {"published": [asdict(figure) for figure in known]}
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
    from internvid.viclip.initial_clip import initial_clip
    from internvid.video_text.folders import is_of_others

    try:
        return initial_clip(folder)[1] if is_of_others(folder) else load_checkpoint(folder).model.state_dict()
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
