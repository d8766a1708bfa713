"""Every failure as one line: what, where, what to do. Exit 1 for a named error, 130 when interrupted."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from eimf_local.errors import EimfError


class OneLineErrors(TyperGroup):
    """A command group that turns errors into one line on stderr; ``--debug`` lets the traceback through."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EimfError as error:
            _debugged(ctx, error)
            _say(str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("interrupted: finished work is kept; run the same command to go on", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise  # the reader of our output went away: click's own business
        except OSError as error:
            _debugged(ctx, error)
            place = f"{error.filename}: " if error.filename else ""
            _say(f"{place}{error.strerror or error} — check the path, the permissions and the free space")
            raise typer.Exit(1) from None
        except MemoryError as error:
            _debugged(ctx, error)
            _say("out of memory — close other programs, or give fewer users, a shorter context or a smaller model")
            raise typer.Exit(1) from None


def _debugged(ctx: typer.Context, error: BaseException) -> None:
    if ctx.obj and ctx.obj.get("debug"):
        raise error


def _say(message: str) -> None:
    typer.echo("error: " + " ".join(message.split()), err=True)
