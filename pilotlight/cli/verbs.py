"""A click group whose commands are loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, Final

import click

GROUP: Final = "pilotlight.verbs"


def installed_verbs() -> list[EntryPoint]:
    """The verbs of all that is installed in this interpreter."""
    return list(entry_points(group=GROUP))


def installed_version() -> str:
    try:
        return version("pilotlight")
    except PackageNotFoundError:
        return "unknown (not installed)"


class Verbs(click.Group):
    """A group made of entry points.

    A verb that cannot be loaded is still listed, says why when it is called, and leaves the others
    alone. Of two verbs with one name the first one found is taken.
    """

    def __init__(self, verbs: Iterable[EntryPoint], **attributes: Any) -> None:
        super().__init__(
            name="pilotlight",
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
            **attributes,
        )
        self._verbs: dict[str, EntryPoint] = {}
        for verb in verbs:
            self._verbs.setdefault(verb.name, verb)
        self.params.append(_version_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = self._verbs.get(cmd_name)
        return None if verb is None else _load(verb)


def _load(verb: EntryPoint) -> click.Command:
    try:
        loaded = verb.load()
    except Exception as error:  # whatever a foreign module raises when it is imported
        return _unavailable(verb, f"{type(error).__name__}: {error}")
    if not isinstance(loaded, click.Command):
        return _unavailable(verb, f"{verb.value} is not a click command")
    return loaded


def _unavailable(verb: EntryPoint, reason: str) -> click.Command:
    """Stands for a verb that cannot be loaded; takes any arguments and exits with code 1."""

    def refuse() -> None:
        raise click.ClickException(f"the verb {verb.name!r} cannot be loaded: {reason}")

    return click.Command(
        verb.name,
        callback=refuse,
        short_help=f"(unavailable: {reason})",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


def _version_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            click.echo(f"pilotlight {installed_version()}")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )
