from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from eimf_local_models.builder.corpus import Sample, Told, UserWriter
from eimf_local_models.builder.network import NetworkConfig
from eimf_local_models.builder.shops import Shop, ShopTitle
from eimf_local_models.builder.tokenizer import TURN_END
from eimf_local_models.builder.train import (
    BatchSource,
    InterestReader,
    Lessons,
    Trainer,
    TrainSettings,
    learning_rate_at,
    lesson_at,
)
from torch.nn import functional as F

SETTINGS = TrainSettings(steps=4, seed=2, batch_tokens=512, warmup_steps=1)


def trainer(lessons: Lessons, settings: TrainSettings = SETTINGS) -> Trainer:
    vocabulary = lessons.tokenizer.get_vocab_size()
    config = NetworkConfig(vocabulary, width=96, layers=2, heads=3, kv_heads=3, feed_forward=64, context=1024)
    return Trainer(lessons=lessons, config=config, settings=settings)


def test_resumed_equals_uninterrupted(lessons: Lessons, tmp_path: Path) -> None:
    whole, begun, resumed = trainer(lessons), trainer(lessons), trainer(lessons)
    whole.run(folder=tmp_path / "whole", progress=lambda _: None)
    begun.run(folder=tmp_path / "cut", progress=lambda _: None, until=2)
    assert resumed.load(tmp_path / "cut")
    assert resumed.step == 2
    resumed.run(folder=tmp_path / "cut", progress=lambda _: None)
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.network.state_dict().items())


def test_other_settings_are_refused(lessons: Lessons, tmp_path: Path) -> None:
    begun = trainer(lessons)
    begun.run(folder=tmp_path, progress=lambda _: None, until=1)
    with pytest.raises(ValueError, match="other settings"):
        trainer(lessons, TrainSettings(steps=5, seed=2, batch_tokens=512)).load(tmp_path)


def test_other_titles_are_refused(lessons: Lessons, tmp_path: Path) -> None:
    begun = trainer(lessons)
    begun.run(folder=tmp_path, progress=lambda _: None, until=1)
    shop = Shop((0,), np.array([0]), np.array([1]), ((ShopTitle("Zorvex Gel Pens", 0, "zorvex"),),))
    with pytest.raises(ValueError, match="other settings, titles"):
        trainer(replace(lessons, shops=(shop,))).load(tmp_path)


def test_other_optimizers_are_refused(lessons: Lessons, tmp_path: Path) -> None:
    begun, resumed = trainer(lessons), trainer(lessons)
    begun._optimizers = begun._optimizers[1:]
    begun.run(folder=tmp_path, progress=lambda _: None, until=1)
    with pytest.raises(ValueError, match="optimizers; give another folder"):
        resumed.load(tmp_path)


def test_without_a_checkpoint_nothing_is_loaded(lessons: Lessons, tmp_path: Path) -> None:
    assert not trainer(lessons).load(tmp_path)


@pytest.mark.parametrize("step", [0, 2, 3])
def test_targets_are_the_answers_tokens(lessons: Lessons, step: int) -> None:
    batch = BatchSource(lessons, SETTINGS).at(step)
    flat = batch.tokens.flatten()
    assert torch.equal(flat[batch.positions + 1], batch.targets)
    assert int((batch.targets == lessons.tokenizer.get_vocab()[TURN_END]).sum()) == len(batch.tokens)
    assert lessons.tokenizer.decode(batch.targets.tolist()).count('{"interests": ["') == len(batch.tokens)


def test_titles_and_phrases_are_read_at_their_ends(lessons: Lessons) -> None:
    batch = BatchSource(lessons, SETTINGS).at(3)
    assert len(batch.ends) == len(batch.owners) > 2 * len(batch.tokens)
    assert int(batch.owners.min()) >= 0
    read = [lessons.tokenizer.decode([int(token)]) for token in batch.tokens.flatten()[batch.ends]]
    assert all("]" in text or text.startswith('"') for text in read)
    assert sum(text.startswith('"') for text in read) >= len(batch.tokens) - 2  # foreign ones are not read


def test_what_is_untold_is_asked_where_a_phrase_begins(lessons: Lessons) -> None:
    source = BatchSource(lessons, SETTINGS)
    batch = source.at(3)
    before = [lessons.tokenizer.decode([int(token)]) for token in batch.tokens.flatten()[batch.starts]]
    assert set(before) <= {' ["', ' "'}
    torch.testing.assert_close(batch.untold.sum(1), torch.ones(len(batch.starts)))
    told = (Told("gel pens", 1, 3), Told("odd lantern", -1, 2), Told('4" clamps', 0, 1))
    sequence = source._sequence(Sample(("a", "b"), (1, 0), told, 6), framed=False)
    assert [rest for _, rest in sequence.choices] == [list(told[::2]), [told[2]], [told[2]]]
    padded = source._padded([sequence])
    assert padded.untold[:, :2].tolist() == [[0.25, 0.75], [1.0, 0.0], [1.0, 0.0]]
    words = [lessons.tokenizer.decode([sequence.tokens[place + 1]]) for place, _ in sequence.choices]
    assert [told.phrase.startswith(word) for told, word in zip(told, words, strict=True)] == [True] * 3


def test_a_reader_scores_all_interests(lessons: Lessons) -> None:
    torch.manual_seed(0)
    phrases = lessons.lexicon.phrase_vectors()
    reader = InterestReader(width=8, phrases=phrases)
    states, owners = torch.randn(5, 8), torch.tensor([3, 1, 0, 2, 2])
    scores = 10 * F.normalize(reader.project(reader.norm(states)), dim=1) @ torch.from_numpy(phrases).T
    torch.testing.assert_close(reader.loss(states, owners), F.cross_entropy(scores, owners))
    shares = F.one_hot(owners, len(phrases)).float()
    torch.testing.assert_close(reader.loss(states, shares), reader.loss(states, owners))


def test_lessons_end_with_whole_prompts_of_up_to_forty_titles() -> None:
    rng = np.random.default_rng(0)
    first = [lesson_at(0.01, rng) for _ in range(200)]
    assert not any(framed for _, framed in first)
    assert max(titles for titles, _ in first) == 7
    last = [lesson_at(0.9, rng) for _ in range(1000)]
    assert all(framed for _, framed in last)
    assert min(titles for titles, _ in last) == 1
    assert max(titles for titles, _ in last) == 40


def test_most_prompts_fit_the_context(lessons: Lessons) -> None:
    source = BatchSource(lessons, SETTINGS)
    users = UserWriter(np.random.default_rng(0), lessons.catalogue, lessons.lexicon)
    assert all(len(source._sequence(users.user(41), framed=True).tokens) < 4096 for _ in range(10))


def test_learning_rate_rises_stays_and_falls() -> None:
    settings = TrainSettings(steps=100, warmup_steps=10)
    rates = [learning_rate_at(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(settings.learning_rate / 10)
    assert rates[10:51] == [pytest.approx(settings.learning_rate)] * 41
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] < settings.learning_rate / 25
