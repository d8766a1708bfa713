"""The campaigns in small: a fault or a few of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import altered, inputs, interrupted, machine, titles
from .harness import STAGES, Count, Done, cli, write_source


def assert_nothing_lost(count: Count, *, at_least: int) -> None:
    assert count.lost == []
    assert count.tried >= at_least


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("sound")
    write_source(work)
    for stage in STAGES[:3]:
        done = cli(stage.words(work))
        assert done.code == 0, done
    return work


def test_killed_stages_go_on_to_the_same_result(tmp_path: Path) -> None:
    assert_nothing_lost(interrupted.run(tmp_path, kills=3, seed=0, stages=("prepare",)), at_least=2)


def test_altered_artefacts_are_refused(sound: Path, tmp_path: Path) -> None:
    write_source(tmp_path, users=200)
    assert cli(STAGES[0].words(tmp_path)).code == 0
    kinds = {kind: sound / kind for kind in ("dataset", "interests", "run")}
    count = altered.artefacts(tmp_path, kinds, {"dataset": tmp_path / "dataset"}, rounds=1, seed=0)
    assert_nothing_lost(count, at_least=15)


def test_altered_model_files_are_refused_or_fail_in_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIMF_LOCAL_HOME", str(tmp_path / "home"))
    assert_nothing_lost(altered.model_files(tmp_path, mutations=2, truncations=1, seed=0), at_least=6)


def test_preparing_on_a_failing_machine(sound: Path, tmp_path: Path) -> None:
    count = machine.run(tmp_path, sound, rounds=1, seed=0, stages=STAGES[:1])
    assert_nothing_lost(count, at_least=len(machine.FAULTS))


def test_damaged_logs_odd_ids_and_times(tmp_path: Path) -> None:
    assert_nothing_lost(inputs.mutations(tmp_path, rounds=1, seed=0), at_least=40)
    assert_nothing_lost(inputs.odd_ids(tmp_path), at_least=4)
    assert_nothing_lost(inputs.times(tmp_path), at_least=3)


def test_hostile_titles_in_a_report(tmp_path: Path) -> None:
    count = Count("titles")
    titles.report(count, tmp_path, titles=40, seed=0)
    assert_nothing_lost(count, at_least=42)


def test_a_traceback_or_a_second_error_line_is_not_clean() -> None:
    assert Done(1, "", "error: a: b \u2014 do c").refused
    assert not Done(1, "", "error: a \u2014 b\nerror: c \u2014 d").clean
    assert not Done(1, "", "Traceback (most recent call last):").clean
    assert not Done(-11, "", "").clean
