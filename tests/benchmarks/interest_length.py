"""How much do fewer interests cost? ``python -m tests.benchmarks.interest_length --dataset DIR --interests DIR``.

Keeps the first m interests of every exemplar and prints, as a markdown table: the interest AUC over all training users
who have something left to be judged on (each with the interests of its exemplar), its paired difference from the full
lists with the 95 % interval, the same difference over the exemplars alone, and the mean output tokens of such an answer
in each vocabulary. Below it, the tokens of the full lists in terser JSON.

It cuts lists that were written at full length; a model that is asked for m may well spread its m wider.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import eimf_local  # noqa: F401  (process-wide switches: before numpy loads)

# isort: split
import llama_cpp
import numpy as np
import numpy.typing as npt

from eimf_local.config import load_config
from eimf_local.data.dataset import Float32
from eimf_local.esim.encoder import load_encoder
from eimf_local.esim.model_files import BUNDLED_MODEL, resolve_model
from eimf_local.evaluation.interest_quality import (
    InterestAUC,
    draw_negatives,
    interest_auc,
    paired_auc_difference,
)
from eimf_local.progress import Reporter
from eimf_local.stages.datasets import OpenDataset, embed_items, open_dataset
from eimf_local.stages.interest_artifact import Interests, open_interests
from eimf_local.stages.quality import later_items

LENGTHS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20)
FORMS: dict[str, Callable[[list[str]], str]] = {
    '{"interests": ["a", "b"]}': lambda phrases: json.dumps({"interests": phrases}, ensure_ascii=False),
    '{"interests":["a","b"]}': lambda phrases: _without_blanks({"interests": phrases}),
    '{"i":["a","b"]}': lambda phrases: _without_blanks({"i": phrases}),
}


def main() -> int:
    """Measure and print."""
    options = _options()
    config, encoder = load_config(options.preset), load_encoder()
    dataset = open_dataset(options.dataset, config)
    interests = open_interests(options.interests, dataset, config, encoder)
    _, item_text = embed_items(dataset, encoder, Reporter())
    vocabularies = {Path(spec).stem: _Vocabulary(spec) for spec in options.vocabulary}
    phrases = [list(record.interests) for record in interests.records]
    users = [record.user for record in interests.records]
    print(f"{dataset.artifact.path.name}: {len(phrases)} exemplars, interests by {interests.llm}\n")
    rows = np.flatnonzero(dataset.split.train_ends > dataset.split.visible_ends)
    exemplars = rows[np.isin([dataset.data.users[user] for user in dataset.split.train_users[rows]], users)]
    print(f"{len(rows)} training users judged, {len(exemplars)} exemplars among them")
    curves = [_curve(dataset, interests, item_text, judged) for judged in (rows, exemplars)]
    _print_curve(phrases, *curves, vocabularies)
    _print_forms(phrases, vocabularies)
    return 0


class _Vocabulary:
    """Counts output tokens; the GGUF's tokenizer alone is loaded."""

    def __init__(self, spec: str) -> None:
        self._llm = llama_cpp.Llama(str(resolve_model(spec).path), vocab_only=True, verbose=False)

    def mean_tokens(self, answers: Sequence[str]) -> float:
        """Mean tokens of whole answers, the end of turn included."""
        counts = [len(self._llm.tokenize(answer.encode(), add_bos=False, special=False)) + 1 for answer in answers]
        return float(np.mean(counts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--interests", type=Path, required=True)
    parser.add_argument("--preset", help="the preset of the split, where it is not the default one")
    parser.add_argument("--vocabulary", nargs="+", default=[BUNDLED_MODEL], help="models or GGUF files to count with")
    return parser.parse_args()


def _curve(
    dataset: OpenDataset, interests: Interests, item_text: Float32, rows: npt.NDArray[np.intp]
) -> dict[int, InterestAUC]:
    """Interest AUC of training users ``rows`` by the number of interests kept, all on the same negatives."""
    later = later_items(dataset, rows.astype(np.int64))
    negatives = draw_negatives(later)
    curve = {}
    for length in LENGTHS:
        kept = interests.mask & (np.arange(interests.mask.shape[1]) < length)
        curve[length] = interest_auc(
            interests.embeddings, kept, interests.cluster[rows], item_text, later, negatives=negatives
        )
    return curve


def _print_curve(
    phrases: Sequence[list[str]],
    everyone: dict[int, InterestAUC],
    exemplars: dict[int, InterestAUC],
    vocabularies: dict[str, _Vocabulary],
) -> None:
    write = next(iter(FORMS.values()))
    names = [f"tokens ({name})" for name in vocabularies]
    _print_row("m", "kept", "AUC", "AUC - AUC(all) [95 %]", "exemplars alone: AUC", "AUC - AUC(all) [95 %]", *names)
    _print_row(*["---"] * (6 + len(vocabularies)))
    for length in LENGTHS:
        kept = [group[:length] for group in phrases]
        _print_row(
            str(length),
            f"{np.mean([len(group) for group in kept]):.1f}",
            *_compared(everyone, length),
            *_compared(exemplars, length),
            *(f"{each.mean_tokens([write(group) for group in kept]):.1f}" for each in vocabularies.values()),
        )


def _compared(curve: dict[int, InterestAUC], length: int) -> tuple[str, str]:
    difference = paired_auc_difference(curve[length], curve[LENGTHS[-1]])
    return f"{curve[length].mean:.4f}", f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _print_forms(phrases: Sequence[list[str]], vocabularies: dict[str, _Vocabulary]) -> None:
    print("\nthe full lists in other JSON")
    _print_row("form", *(f"tokens ({name})" for name in vocabularies))
    _print_row(*["---"] * (1 + len(vocabularies)))
    for form, write in FORMS.items():
        answers = [write(group) for group in phrases]
        _print_row(f"`{form}`", *(f"{each.mean_tokens(answers):.1f}" for each in vocabularies.values()))


def _print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def _without_blanks(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    sys.exit(main())
