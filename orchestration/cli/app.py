"""`internvid`: the lakehouse from a terminal. This module lists the commands; the modules beside it hold them."""

import typer

from orchestration.cli import evaluations, feeds, snapshots, subsets
from orchestration.cli.annotations import annotations
from orchestration.cli.backups import backup, restore
from orchestration.cli.chat import chat
from orchestration.cli.check import check
from orchestration.cli.doctor import doctor
from orchestration.cli.evaluate_chat import evaluate_chat
from orchestration.cli.explore import explore
from orchestration.cli.export import export, verify
from orchestration.cli.export_model import export_model
from orchestration.cli.figure import figure
from orchestration.cli.finetune import finetune
from orchestration.cli.forget import forget
from orchestration.cli.generate import generate
from orchestration.cli.generated import generation_prompts, measure_generated
from orchestration.cli.ingest import ingest, retry, sample_videos, status
from orchestration.cli.models import ablate, activate, evaluate, train
from orchestration.cli.operate import docs, maintain, serve, ui
from orchestration.cli.options import StatementCommand, WordsCommand
from orchestration.cli.plan import plan
from orchestration.cli.query import search, sql
from orchestration.cli.why import why

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

# In the order in which `internvid --help` lists them.
app.command(cls=WordsCommand)(ingest)
app.command()(status)
app.command()(retry)
app.command(cls=StatementCommand)(sql)
app.command(cls=WordsCommand)(search)
app.command(cls=WordsCommand)(why)
app.command()(explore)
app.command(cls=WordsCommand)(chat)
app.command(cls=WordsCommand)(generate)
app.command()(train)
app.command()(ablate)
app.command(cls=WordsCommand)(finetune)
app.command(cls=WordsCommand)(activate)
app.command(cls=WordsCommand)(evaluate)
app.command("evaluate-chat", cls=WordsCommand)(evaluate_chat)
app.command(cls=WordsCommand)(export_model)
app.command("generation-prompts")(generation_prompts)
app.command("measure-generated")(measure_generated)
app.command()(export)
app.command()(figure)
app.command()(verify)
app.command()(annotations)
app.command(cls=WordsCommand)(forget)
app.command(cls=WordsCommand)(plan)
app.command()(doctor)
app.command("sample-videos")(sample_videos)
app.command()(ui)
app.command()(serve)
app.command()(maintain)
app.command()(check)
app.command()(backup)
app.command()(restore)
app.command()(docs)
app.add_typer(subsets.app, name="subset")
app.add_typer(snapshots.app, name="snapshot")
app.add_typer(evaluations.app, name="evaluations")
app.add_typer(feeds.app, name="feeds")
