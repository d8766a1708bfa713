from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eimf_local_models.builder.network import NetworkConfig
from eimf_local_models.builder.tokenizer import TURN_END
from eimf_local_models.builder.train import BatchSource, Trainer, TrainSettings, learning_rate_at, lesson_at
from tokenizers import Tokenizer

SETTINGS = TrainSettings(steps=4, seed=2, batch_tokens=512, warmup_steps=1)


@pytest.fixture(scope="module")
def tokenizer(toy_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(toy_folder / "tokenizer.json"))


def trainer(tokenizer: Tokenizer, settings: TrainSettings = SETTINGS) -> Trainer:
    config = NetworkConfig(tokenizer.get_vocab_size(), width=96, layers=2, feed_forward=64, context=1024)
    return Trainer(tokenizer=tokenizer, config=config, settings=settings)


def test_resumed_equals_uninterrupted(tokenizer: Tokenizer, tmp_path: Path) -> None:
    whole, begun, resumed = trainer(tokenizer), trainer(tokenizer), trainer(tokenizer)
    whole.run(folder=tmp_path / "whole", progress=lambda _: None)
    begun.run(folder=tmp_path / "cut", progress=lambda _: None, until=2)
    assert resumed.load(tmp_path / "cut")
    assert resumed.step == 2
    resumed.run(folder=tmp_path / "cut", progress=lambda _: None)
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.network.state_dict().items())


def test_other_settings_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    begun = trainer(tokenizer)
    begun.run(folder=tmp_path, progress=lambda _: None, until=1)
    with pytest.raises(ValueError, match="other settings"):
        trainer(tokenizer, TrainSettings(steps=5, seed=2, batch_tokens=512)).load(tmp_path)


def test_without_a_checkpoint_nothing_is_loaded(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert not trainer(tokenizer).load(tmp_path)


@pytest.mark.parametrize("step", [0, 2, 3])
def test_targets_are_the_answers_tokens(tokenizer: Tokenizer, step: int) -> None:
    batch = BatchSource(tokenizer, SETTINGS).at(step)
    flat = batch.tokens.flatten()
    assert torch.equal(flat[batch.positions + 1], batch.targets)
    assert int((batch.targets == tokenizer.get_vocab()[TURN_END]).sum()) == len(batch.tokens)
    assert tokenizer.decode(batch.targets.tolist()).count('{"interests": ["') == len(batch.tokens)


def test_lessons_end_with_whole_prompts_of_up_to_forty_titles() -> None:
    rng = np.random.default_rng(0)
    assert all(lesson_at(0.01, rng).drill for _ in range(20))
    last = [lesson_at(0.99, rng) for _ in range(500)]
    assert all(lesson.framed and not lesson.drill for lesson in last)
    assert min(lesson.titles for lesson in last) == 3
    assert max(lesson.titles for lesson in last) == 40
    assert {(lesson.drill, lesson.framed) for lesson in (lesson_at(1.0, rng) for _ in range(50))} == {
        (True, True),
        (True, False),
        (False, True),
    }


def test_learning_rate_rises_then_falls() -> None:
    settings = TrainSettings(steps=100, warmup_steps=10)
    rates = [learning_rate_at(step, settings) for step in range(100)]
    polish = [learning_rate_at(step, settings) for step in range(100, 130)]
    assert polish[0] == pytest.approx(settings.learning_rate / 2)
    assert polish == sorted(polish, reverse=True)
    assert rates[0] == pytest.approx(settings.learning_rate / 10, rel=1e-3)
    assert max(rates) == pytest.approx(settings.learning_rate, rel=0.03)
    assert rates[-1] < settings.learning_rate / 25
