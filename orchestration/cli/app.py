"""`internvid`: the lakehouse from a terminal. This module lists the commands; the modules beside it hold them."""

import typer

from orchestration.cli import feeds, subsets
from orchestration.cli.annotations import annotations
from orchestration.cli.doctor import doctor
from orchestration.cli.export import export
from orchestration.cli.forget import forget
from orchestration.cli.ingest import ingest, retry, sample_videos, status
from orchestration.cli.models import ablate, activate, evaluate, train
from orchestration.cli.operate import docs, maintain, serve, ui
from orchestration.cli.options import StatementCommand
from orchestration.cli.plan import plan
from orchestration.cli.query import search, sql
from orchestration.cli.why import why

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

# In the order in which `internvid --help` lists them.
app.command()(ingest)
app.command()(status)
app.command()(retry)
app.command(cls=StatementCommand)(sql)
app.command()(search)
app.command()(why)
app.command()(train)
app.command()(ablate)
app.command()(activate)
app.command()(evaluate)
app.command()(export)
app.command()(annotations)
app.command()(forget)
app.command()(plan)
app.command()(doctor)
app.command("sample-videos")(sample_videos)
app.command()(ui)
app.command()(serve)
app.command()(maintain)
app.command()(docs)
app.add_typer(subsets.app, name="subset")
app.add_typer(feeds.app, name="feeds")
