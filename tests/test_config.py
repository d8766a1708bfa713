from __future__ import annotations

from pathlib import Path

import pytest

from eimf_local.config import Config, build_config, load_config, preset_names
from eimf_local.errors import ConfigError


def test_defaults_are_the_papers() -> None:
    config = load_config()
    assert (config.model.dim, config.model.interests, config.train.batch_size) == (64, 4, 128)
    assert (config.objective.alpha, config.objective.beta, config.objective.gamma) == (0.4, 0.1, 0.1)
    assert config.train.learning_rate == 1e-3
    assert config.split.seed == 1230


@pytest.mark.parametrize("name", preset_names())
def test_every_packaged_preset_is_valid(name: str) -> None:
    assert load_config(name) != Config()


def test_overrides_are_read_as_toml_and_fall_back_to_text() -> None:
    config = load_config(
        None,
        ["train.learning_rate=2e-3", "objective.predict=false", "model.item_init=text", 'split.protocol="global-time"'],
    )
    assert config.train.learning_rate == 2e-3
    assert config.objective.predict is False
    assert config.model.item_init == "text"
    assert config.split.protocol == "global-time"


def test_an_override_beats_the_preset(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("[train]\nmax_steps = 7\nseed = 3\n")
    config = load_config(str(preset), ["train.max_steps=9"])
    assert (config.train.max_steps, config.train.seed) == (9, 3)


def test_every_mistake_is_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"train": {"learnin_rate": 1, "batch_size": 0}, "modle": {}})
    for part in ("unknown setting train.learnin_rate", "train.batch_size", "unknown setting modle"):
        assert part in str(caught.value)


@pytest.mark.parametrize("override", ["train.seed", "seed=3", "=1", ".a=1"])
def test_when_an_override_has_no_key_it_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        load_config(None, [override])


def test_weights_must_sum_as_in_eq_12() -> None:
    with pytest.raises(ConfigError, match="2 \\(alpha \\+ beta\\) must be 1"):
        load_config(None, ["objective.alpha=0.3"])


def test_when_the_preset_is_unknown_the_nearest_and_all_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'paper-ofice' — did you mean 'paper-office'.* known: demo,"):
        load_config("paper-ofice")


@pytest.mark.parametrize(("seeds", "told"), [("[0, 3, 0]", "0 is listed 2 times"), ("0", "at least one"), ("[]", "at")])
def test_when_seeds_are_repeated_or_none_they_are_refused(seeds: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        load_config(None, [f"reproduce.seeds={seeds}"])
    assert "\n" not in str(caught.value)


def test_seeds_are_a_number_of_them_or_a_list() -> None:
    assert load_config(None, ["reproduce.seeds=2"]).reproduce.seed_list == (0, 1)
    assert load_config(None, ["reproduce.seeds=[4, 2]"]).reproduce.seed_list == (4, 2)


def test_when_the_preset_is_broken_toml_the_line_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[train\n")
    with pytest.raises(ConfigError, match="line 1"):
        load_config(str(tmp_path / "x.toml"))


def test_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config().train.seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    "override",
    ["train.learning_rate=inf", "train.seed=-1", "train.seed=99999999999999999999", "loss.negatives=100000000000"],
)
def test_numbers_out_of_range_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load_config(None, [override])
