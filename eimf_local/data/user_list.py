"""A list of user ids in a text file."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError


def read_user_list(path: Path) -> list[str]:
    """User ids, one a line, blank lines skipped; raises :class:`InputError` where there is none or one repeats."""
    try:
        users = [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: {getattr(error, 'strerror', None) or error}",
            hint="give a readable UTF-8 file with one user id a line",
        ) from None
    if not users:
        raise InputError(f"{path}: no user in it", hint="write one user id a line")
    if len(set(users)) < len(users):
        again = next(user for place, user in enumerate(users) if user in users[:place])
        raise InputError(f"{path}: user {again!r} more than once", hint="name each user once")
    return users
