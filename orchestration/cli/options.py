"""Options of several commands, and their checks."""

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from orchestration.cli.session import Session
from orchestration.settings import Settings, problems_of

LakeOption = Annotated[
    str | None,
    typer.Option("--lake", help="The lake's root: a folder or s3://bucket/prefix. Else INTERNVID_LAKE, else ./lake."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAMES",
        help="Which models: profiles joined by commas, each a name of orchestration/profiles/ or a YAML file. "
        "Else INTERNVID_PROFILE, else embedded.",
    ),
]
ProviderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME=SETTINGS",
        help="One model by itself, as in a profile: summariser='{kind: embedded}'. May be repeated.",
    ),
]


_OPTION_LIKE = re.compile(r"--[a-z]+(?:-[a-z]+)*")


class WordsCommand(TyperCommand):
    """A command whose arguments are words or ids, which may begin with a hyphen: `internvid why -076WPWoCRE`.

    A word that begins with a hyphen and is no option is an argument. What looks like a mistyped option (`--formt`) is
    refused: such a word is given after `--`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options, words = self._divided(ctx, args)
        return super().parse_args(ctx, [*options, "--", *words] if words else options)

    def _divided(self, ctx: Any, args: list[str]) -> tuple[list[str], list[str]]:
        """Returns the options with their values, and the arguments in their order."""
        values = dict.fromkeys(ctx.help_option_names, 0)
        for parameter in self.params:
            if isinstance(parameter, TyperOption):
                has_value = not parameter.is_flag and not parameter.count
                values |= dict.fromkeys((*parameter.opts, *parameter.secondary_opts), parameter.nargs * has_value)
        options: list[str] = []
        words: list[str] = []
        left = list(args)
        while left:
            word = left.pop(0)
            name, equals, _ = word.partition("=")
            if word == "--":
                return options, words + left
            if name in values:
                count = 0 if equals else values[name]
                options += [word, *left[:count]]
                del left[:count]
            elif _OPTION_LIKE.fullmatch(name):
                like = "".join(f" Did you mean {option}?" for option in get_close_matches(name, values, n=1))
                ctx.fail(f"No such option: {name}.{like} If it is a word or an id, write -- before it.")
            else:
                words.append(word)
        return options, words


class StatementCommand(TyperCommand):
    """A command whose argument is SQL. SQL may begin with a comment, whose `--` would otherwise start an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [re.sub(r"\A(?=--\s|--.*\n)", "\n", argument) for argument in args])


def settings_of(
    lake: str | None = None, profile: str | None = None, providers: Sequence[str] | None = None
) -> Settings:
    """Returns the settings of the environment, overridden by the options.

    Raises typer.BadParameter for an invalid setting, with its name.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from orchestration.profiles import BUILT_IN

    given: dict[str, Any] = {}
    if lake is not None:
        given["lake"] = lake
    if profile is not None:
        given["profile"] = profile
    try:
        settings = Settings(**given)
    except (ValidationError, SettingsError) as error:
        raise typer.BadParameter(problems_of(error)) from error
    overrides = dict(settings.providers)
    for provider in providers or []:
        name, equals, text = provider.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"--provider {provider}: give a name and settings: --provider summariser='{{kind: embedded}}'"
            )
        overrides[name.strip().lower()] = text
    names = ",".join(
        # Files by their whole path, for processes that run in another folder.
        os.path.abspath(name) if name not in BUILT_IN and os.path.isfile(name) else name
        for name in settings.profile.split(",")
    )
    return settings.model_copy(update={"profile": names, "providers": overrides})


def opened(root: str | None, profile: str | None = None, providers: Sequence[str] | None = None) -> Session:
    """Opens the lake with the chosen models; a new one where there is none."""
    return _session(settings_of(root, profile, providers), must_exist=False)


def existing(root: str | None, profile: str | None = None, providers: Sequence[str] | None = None) -> Session:
    """Opens an existing lake with the chosen models: a mistyped name creates no new lake."""
    return _session(settings_of(root, profile, providers), must_exist=True)


def _session(settings: Settings, *, must_exist: bool) -> Session:
    try:
        return Session(settings, must_exist=must_exist)
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def snapshot_of(session: Session, name: str | None) -> str | None:
    """Returns the snapshot of that name or label. name: None: no snapshot. Raises typer.BadParameter for another."""
    from resources.corpus.snapshots import snapshot_named

    if name is None:
        return None
    snapshot = snapshot_named(session.lake, name)
    if snapshot is None:
        raise no_such_snapshot(name)
    return snapshot


def no_such_snapshot(name: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"there is no snapshot {name!r}: `internvid snapshot list` names those there are; `internvid forget` "
        "removes those that may hold the video"
    )
