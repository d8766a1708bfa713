"""``python -m eimf_local_cli``: the same as ``eimf-local``."""

from .app import app

if __name__ == "__main__":
    app()
