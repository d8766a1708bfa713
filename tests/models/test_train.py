from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eimf_local_models.builder.corpus import UserWriter
from eimf_local_models.builder.network import NetworkConfig
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


def test_without_a_checkpoint_nothing_is_loaded(lessons: Lessons, tmp_path: Path) -> None:
    assert not trainer(lessons).load(tmp_path)


@pytest.mark.parametrize("step", [0, 2, 3])
def test_targets_are_the_answers_tokens(lessons: Lessons, step: int) -> None:
    batch = BatchSource(lessons, SETTINGS).at(step)
    flat = batch.tokens.flatten()
    assert torch.equal(flat[batch.positions + 1], batch.targets)
    assert int((batch.targets == lessons.tokenizer.get_vocab()[TURN_END]).sum()) == len(batch.tokens)
    assert lessons.tokenizer.decode(batch.targets.tolist()).count('{"interests": ["') == len(batch.tokens)


def test_titles_are_read_at_their_ends(lessons: Lessons) -> None:
    batch = BatchSource(lessons, SETTINGS).at(3)
    assert len(batch.title_ends) == len(batch.owners) > len(batch.tokens)
    assert int(batch.owners.min()) >= 0
    read = batch.tokens.flatten()[batch.title_ends]
    assert all("]" in lessons.tokenizer.decode([int(token)]) for token in read)


def test_a_reader_scores_all_interests(lessons: Lessons) -> None:
    torch.manual_seed(0)
    phrases = lessons.lexicon.phrase_vectors()
    reader = InterestReader(width=8, phrases=phrases)
    states, owners = torch.randn(5, 8), torch.tensor([3, 1, 0, 2, 2])
    scores = 10 * F.normalize(reader.project(states), dim=1) @ torch.from_numpy(phrases).T
    torch.testing.assert_close(reader.loss(states, owners), F.cross_entropy(scores, owners))


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
