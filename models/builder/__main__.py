"""Command line: ``python -m eimf_local_models.builder --out FOLDER [--steps N] [--seed S]``, or ``--pin FILE``."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when the OpenMP library loads, so before torch

import torch
from tokenizers import Tokenizer

from eimf_local.artifacts import sha256_file
from eimf_local.errors import EimfError, InputError
from eimf_local.esim.encoder import load_encoder
from eimf_local.esim.model_files import check_gguf_header
from eimf_local.training.memory import keep_freed_memory

from .catalogue import held_out_words, read_catalogue
from .corpus import tokenizer_words
from .export import MODEL_NAME, export_gguf, pin, start_from
from .lexicon import Lexicon
from .network import NetworkConfig
from .semantics import stem_vectors
from .shops import label, read_titles, words_of
from .titles import ordinary_words
from .tokenizer import train_tokenizer, vocabulary_of
from .train import Lessons, Trainer, TrainSettings

VOCABULARY_SIZE = 16_384
MODELS = Path(__file__).parents[1]


def build(
    *,
    out: Path,
    steps: int,
    seed: int,
    threads: int,
    bfloat16: bool = False,
    vocabulary_size: int = VOCABULARY_SIZE,
    domains: int | None = None,
    titles: Sequence[Path] = (),
    start: Path | None = None,
) -> Path:
    """Train (or continue) in ``out`` and export there; returns the GGUF's path.

    ``domains`` takes only the first of the catalogue's; ``titles`` are folders of shops whose titles are read too;
    ``start`` is a GGUF built before, whose weights are the first.
    Raises ValueError where ``out`` holds a checkpoint of other settings or titles, :class:`InputError` for titles that
    cannot be used, and :class:`ModelFileError` where ``start`` is no GGUF.
    """
    settings = _settings(steps=steps, seed=seed, bfloat16=bfloat16, start=start)
    keep_freed_memory()
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    catalogue = read_catalogue(domains=domains)
    found = {folder: read_titles(folder) for folder in titles}
    words = words_of(itertools.chain(*found.values()))
    tokenizer = _tokenizer(out / "tokenizer.json", tokenizer_words(catalogue, words), vocabulary_size)
    _say(f"putting {len(catalogue.interests)} interests of {len(catalogue.domains)} domains into words")
    encode = load_encoder().encode
    ordinary = [word for word in ordinary_words() if word not in held_out_words()]
    lexicon = Lexicon(catalogue, encode, ordinary=ordinary)
    shops = {folder: label(own, catalogue, lexicon.phrase_vectors(), encode) for folder, own in found.items()}
    if strange := [folder for folder, shop in shops.items() if not shop.interests]:
        raise InputError(f"{strange[0]}: no title is near to a known interest", hint="give a shop's titles")
    config = NetworkConfig(vocabulary_size=tokenizer.get_vocab_size())
    trainer = Trainer(
        lessons=Lessons(tokenizer, catalogue, lexicon, tuple(shops.values())),
        config=config,
        settings=settings,
        stem_vectors=stem_vectors(vocabulary_of(tokenizer), encode, width=config.width),
    )
    if start is not None:
        start_from(trainer.network, tokenizer, start)
    if trainer.load(out):
        _say(f"continuing at step {trainer.step}")
    trainer.run(folder=out, progress=_say)
    model = out / f"{MODEL_NAME}.gguf"
    export_gguf(trainer.network, tokenizer, model, shops=[folder.resolve().name for folder in titles])
    _say(f"wrote {model} ({model.stat().st_size:,} bytes)")
    return model


def _settings(*, steps: int, seed: int, bfloat16: bool, start: Path | None) -> TrainSettings:
    settings = TrainSettings(steps=steps, seed=seed, bfloat16=bfloat16)
    if start is None:
        return settings
    check_gguf_header(start)
    # gently: copying suffers from a higher rate, and from heads that begin anew
    gentle = replace(settings, learning_rate=4e-4, reading_weight=0.25, choosing_weight=0.15)
    return replace(gentle, started_from=sha256_file(start))


def _tokenizer(path: Path, words: list[tuple[str, int]], vocabulary_size: int) -> Tokenizer:
    tokenizer = train_tokenizer(words, vocabulary_size=vocabulary_size)
    if not path.is_file():
        tokenizer.save(str(path))
    elif path.read_text("utf-8") != tokenizer.to_str(pretty=True):
        raise ValueError(f"{path} belongs to another corpus; give another folder or delete it")
    return tokenizer


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> int:
    """Build, or pin a built file as the bundled model; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eimf_local_models.builder", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--out", type=Path, help="folder of the tokeniser, the checkpoint and the GGUF; resumed if begun"
    )
    action.add_argument(
        "--pin", type=Path, help="copy this GGUF into the package and write its digest into the manifest"
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--titles", type=Path, action="append", default=[], help="folder of a shop with items.tsv.gz; may be repeated"
    )
    parser.add_argument("--start", type=Path, help="a GGUF that this builder wrote, to begin with its weights")
    parser.add_argument("--threads", type=int, default=2, help="the bytes of a build depend on it")
    parser.add_argument(
        "--bfloat16", action="store_true", help="twice as fast on a processor that has it; other bytes than without"
    )
    arguments = parser.parse_args()
    try:
        if arguments.pin is None:
            build(
                out=arguments.out,
                steps=arguments.steps,
                seed=arguments.seed,
                threads=arguments.threads,
                titles=arguments.titles,
                bfloat16=arguments.bfloat16,
                start=arguments.start,
            )
        else:
            _say(f"pinned {pin(arguments.pin, MODELS)}")
    except (EimfError, OSError, ValueError) as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
