"""`internvid evaluate-chat`: a chat on a benchmark of questions, by likelihood, word for word, and by a judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.evaluate import EXAMPLES_SHOWN
from orchestration.cli.options import LakeOption, ProviderOption, existing
from orchestration.cli.output import console, notes

if TYPE_CHECKING:
    from resources.training.chat_evaluation import ChatEvaluation


def evaluate_chat(
    benchmark: Annotated[str, typer.Option(help="mvbench, msvd-qa, msrvtt-qa, activitynet-qa, video-chatgpt, …")],
    data: Annotated[Path, typer.Option(help="The folder with the benchmark's annotation files and videos.")],
    checkpoint: Annotated[
        str | None, typer.Argument(help="An id of the table chat_checkpoints; else the newest.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips of equal length that a video is shown as.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper bound on the tokens of an answer.")] = 64,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions, for a trial.")] = None,
    provider: ProviderOption = None,
    lake: LakeOption = None,
) -> None:
    """Ask a chat the questions of a benchmark. A judge is a model provider: --provider judge='{kind: server, …}'."""
    from internvid.evaluation.benchmarks import question_names, read_benchmark
    from resources.incremental.faults import SystemFault, raising_faults
    from resources.incremental.progress import progress
    from resources.models.chat import load_chat_of
    from resources.training.chat_evaluation import ChatQuestions
    from resources.training.evaluation_rows import checkpoint_named

    if benchmark not in question_names():
        raise typer.BadParameter(f"no benchmark {benchmark!r} asks a chat; there are {', '.join(question_names())}")
    session = existing(lake, None, provider)
    settings = session.settings
    try:
        read = read_benchmark(benchmark, data)
        with raising_faults(session.lake.root):
            chat = load_chat_of(
                session.lake, checkpoint, device=settings.device, language_model=settings.language_model
            )
            questions = ChatQuestions(
                session.lake,
                chat,
                checkpoint_named(session.lake, chat.checkpoint_id),
                read,
                session.resources["judge"],
                clips=clips,
                max_new_tokens=max_tokens,
                limit=limit,
            )
            with progress("asking", len(questions.questions), notes.print) as advance:
                evaluation = questions.evaluate(workers=settings.workers, on_questions=advance)
    except (ValueError, OSError, SystemFault) as error:
        raise typer.BadParameter(str(error)) from error
    _print(evaluation, read.title, chat.checkpoint_id)
    raise typer.Exit(0 if evaluation.metrics else 1)


def _print(evaluation: "ChatEvaluation", title: str, checkpoint_id: str) -> None:
    asked = f"{evaluation.answered:,} of {evaluation.named:,} questions"
    table = TextTable(
        "metric",
        "value",
        "unit",
        "chance",
        "over",
        "paper: VideoChat-ViCLIP",
        title=escape(f"{title}: {checkpoint_id}, {evaluation.protocol}, {asked}"),
        title_justify="left",
    )
    for metric in evaluation.metrics:
        chance, published = (
            f"{value:.2f}" if value is not None else "–" for value in (metric.chance, metric.published)
        )
        table.add_row(metric.metric, f"{metric.value:.2f}", metric.unit, chance, f"{metric.items:,}", published)
    console.print(table)
    if evaluation.judge is None:
        console.print("note: no judge: answers in words were compared word for word alone", highlight=False)
    lines = [f"{name}: {error}" for name, error in evaluation.failed]
    for what, absent in (("not in the folder", list(evaluation.missing)), ("not answered", lines)):
        if absent:
            console.print(f"{len(absent):,} {what}:", highlight=False)
            for line in absent[:EXAMPLES_SHOWN]:
                console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
