"""Files altered after they were written: whoever reads them must refuse in one line, and nothing wrong come of them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from eimf_local_cli.app import app
from typer.testing import CliRunner

from eimf_local.artifacts import RECORD, Artifact, load, sha256_file
from eimf_local.errors import EimfError
from eimf_local.esim.llm import Answer, Failure, LocalLLM, Request
from eimf_local.esim.model_files import BUNDLED_MODEL, ModelFile, add_model, resolve_model, unpinned_model
from eimf_local.esim.prompts import PromptTemplate, interests_schema

from .harness import QUICK, Count, Done

Harm = Callable[[Path, random.Random], None]
_HEADER = 24_000  # bytes of a GGUF among which mutations fall: its counts, keys and the first of the vocabulary


def artefacts(work: Path, sound: dict[str, Path], others: dict[str, Path], *, rounds: int, seed: int) -> Count:
    """Alter each file of an artefact of each kind in ``others``, and let the next stage read it.

    ``sound``: by kind ("dataset", "interests", "run"), what the stages read; ``others``: other artefacts, to swap with.
    """
    count, rng = Count("altered artefacts"), random.Random(seed)
    for kind, other in others.items():
        path, record = sound[kind], load(sound[kind], kind)
        for name in (*record.files, RECORD):
            for harm_name, harm in _harms(other / name, name).items():
                for _ in range(rounds):
                    copies = {**sound, kind: work / "altered" / kind}
                    shutil.rmtree(work / "altered", ignore_errors=True)
                    shutil.copytree(path, copies[kind])
                    harm(copies[kind] / name, rng)
                    told = f"{kind}/{name} {harm_name}"
                    done = _read(copies, work / "out", kind)
                    count.check(done.refused or _is_the_same(copies[kind], record), f"{told}: {done}")
    return count


def model_files(work: Path, *, mutations: int, truncations: int, seed: int) -> Count:
    """Change a GGUF's header, or cut the file. Pinned, its digest stops it; not pinned, its crash stays in the child.

    Needs a registry of its own: the model is added to the one of EIMF_LOCAL_HOME.
    """
    count, rng = Count("altered model files"), random.Random(seed)
    whole = resolve_model(BUNDLED_MODEL).path.read_bytes()
    work.mkdir(parents=True, exist_ok=True)
    file = work / "mutant.gguf"
    file.write_bytes(whole)
    add_model(unpinned_model(file))
    for number in range(mutations + truncations):
        mutated = _mutated(whole, rng) if number < mutations else whole[: rng.randrange(len(whole))]
        file.write_bytes(mutated)
        if mutated == whole:
            continue
        told = f"{'mutation' if number < mutations else 'truncation'} {number}"
        pinned = _refusal(lambda: resolve_model(str(file)))
        count.check("is not the pinned one" in pinned, f"{told}, pinned: {pinned}")
        outcome = _outcome(ModelFile("mutant", file, sha256_file(file), pinned=False))
        count.check(bool(outcome), f"{told}, digest waived: {outcome}")
    return count


def _harms(other: Path, name: str) -> dict[str, Harm]:
    def flip(path: Path, rng: random.Random) -> None:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)

    def cut(path: Path, rng: random.Random) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: rng.randrange(len(data))])

    def swap(path: Path, rng: random.Random) -> None:
        shutil.copyfile(other, path)

    def age(path: Path, rng: random.Random) -> None:
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"schema": record["schema"] + rng.randint(1, 9)}))

    def remove(path: Path, rng: random.Random) -> None:
        path.unlink()

    harms: dict[str, Harm] = {"with a byte flipped": flip, "truncated": cut, "missing": remove}
    return harms | ({"of a later schema": age} if name == RECORD else {"swapped": swap})


def _read(paths: dict[str, Path], out: Path, kind: str) -> Done:
    """Let the command that comes next read the artefact of ``kind``."""
    shutil.rmtree(out, ignore_errors=True)
    train = ["train", "--dataset", paths["dataset"], "--interests", paths["interests"], "--out", out, *QUICK]
    words = ["recommend", "--run", paths["run"], "--user", "u001"] if kind == "run" else train
    result = CliRunner().invoke(app, [str(word) for word in words])
    return Done(result.exit_code, result.stdout, result.stderr)


def _is_the_same(path: Path, sound: Artifact) -> bool:
    """Whether what was altered is nothing that anybody reads (a blank in the record, the version's spelling)."""
    try:
        found = load(path, sound.kind)
    except EimfError:
        return False
    return (found.fingerprint, found.files) == (sound.fingerprint, sound.files)


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(4, _HEADER)] = rng.randrange(256)
    return bytes(changed)


def _refusal(read: Callable[[], object]) -> str:
    """The one line with which something is refused; "" if it is not."""
    try:
        read()
    except EimfError as error:
        return error.message if "\n" not in error.message else ""
    return ""


def _outcome(model: ModelFile) -> str:
    """What asking a model for an answer comes to, in a line; "" for what is neither an answer nor a refusal."""
    prompt = PromptTemplate.read().render(user="u", titles=["[Gel Pens]"], max_interests=2)
    outcomes: list[Answer | Failure] = []

    def ask() -> None:
        with LocalLLM(model, schema=interests_schema(2), context=512, threads=1, parallel=1) as llm:
            outcomes.extend(outcome for _, outcome in llm.answers([Request(prompt, 24, 0.0, 0)]))

    refusal = _refusal(ask)
    return refusal or ", ".join("an answer" if isinstance(one, Answer) else one.reason for one in outcomes)
