import math
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from eimf_local.errors import ArtifactError, ConfigError, InputError, TrainingError
from eimf_local.ibim.comirec import ComiRecSA
from eimf_local.ibim.registry import BACKBONES
from eimf_local.training import loop
from eimf_local.training.sampling import PackedSequences
from tests.training import small


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    outcome = small.train(tmp_path_factory.mktemp("undisturbed"))
    torch.set_num_threads(threads)
    return outcome


def assert_same(found, expected):
    """Equal bits, but for the seconds."""
    (result, weights), (other, others) = found, expected
    for name in ("best_step", "best_valid", "steps", "stopped_by"):
        assert getattr(result, name) == getattr(other, name)
    strip = [[{k: v for k, v in point.items() if k != "seconds"} for point in r.curves] for r in (result, other)]
    assert strip[0] == strip[1]
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


class Interruption:
    """A callback that presses Ctrl-C at a step."""

    def __init__(self, step):
        self.step = step

    def __call__(self, progress):
        if progress.step == self.step:
            raise KeyboardInterrupt


class TestLearning:
    @pytest.mark.parametrize("name", [name for name, kind in BACKBONES.items() if kind.trainable])
    def test_learns_what_follows_what(self, name, tmp_path):
        backbone, objective = small.models(name, semantic=False)
        result, _ = small.train(tmp_path, backbone, objective, max_steps=400, evaluate_every=100)
        assert result.best_valid["Recall@50"] > 0.45

    def test_pop_does_not(self, tmp_path):
        pop, _ = small.train(tmp_path, small.models("pop")[0], None)
        assert pop.best_valid["Recall@50"] < 0.1

    @pytest.mark.parametrize("name", ["item-knn", "ease"])
    def test_what_is_fitted_knows_what_goes_together(self, name, tmp_path):
        result, _ = small.train(tmp_path, small.models(name)[0], None)
        assert (result.steps, result.stopped_by) == (0, "closed form")
        assert result.best_valid["Recall@50"] > 0.45

    def test_joint_objective_learns_too_and_lowers_every_term(self, tmp_path):
        result, _ = small.train(tmp_path, max_steps=200, evaluate_every=100)
        assert result.best_valid["Recall@50"] > 0.4
        first, last = result.curves[0]["terms"], result.curves[-1]["terms"]
        assert first.keys() == {"loss", "recommendation", "routing", "prediction", "alignment"}
        assert all(last[name] < first[name] for name in ("loss", "recommendation", "prediction", "alignment"))

    def test_pop_is_fitted_not_trained(self, tmp_path):
        backbone = small.models("pop")[0]
        result, _ = small.train(tmp_path / "work", backbone, None)
        assert (result.steps, result.best_step, result.stopped_by) == (0, 0, "closed form")
        assert backbone.item_vectors().sum().item() == small.USERS * small.LENGTH
        assert not (tmp_path / "work").exists()


class TestStopping:
    def scripted(self, tmp_path, recalls, modules=None, **changes):
        """A run whose valid recall is given, evaluation by evaluation; the weights at each one."""
        seen = []

        def validate(backbone):
            assert not backbone.training
            assert not torch.is_grad_enabled()
            seen.append(backbone.item_vectors().clone())
            return {"Recall@50": recalls[len(seen) - 1], "NDCG@50": 0.0}

        backbone, objective = modules or small.models()
        settings = {"validate": validate, "evaluate_every": 5, "max_steps": 1000, "patience": 2} | changes
        result, _ = small.train(tmp_path, backbone, objective, **settings)
        return result, backbone, seen

    def test_patience_counts_evaluations_without_strict_improvement(self, tmp_path):
        result, backbone, seen = self.scripted(tmp_path, [0.1, 0.3, 0.2, 0.3, 0.9])
        assert (result.best_step, result.steps, result.stopped_by) == (10, 20, "patience")
        assert result.best_valid == {"Recall@50": 0.3, "NDCG@50": 0.0}
        assert [point["step"] for point in result.curves] == [5, 10, 15, 20]
        assert torch.equal(backbone.item_vectors(), seen[1])
        assert not torch.equal(seen[1], seen[3])

    def test_an_improvement_renews_the_patience(self, tmp_path):
        result, *_ = self.scripted(tmp_path, [0.1, 0.1, 0.2, 0.1, 0.1])
        assert (result.best_step, result.steps) == (15, 25)

    @pytest.mark.parametrize("kind", ["sampled", "full"])
    def test_patience_waits_while_the_model_guesses(self, kind, tmp_path):
        backbone, objective = small.models(semantic=False, item_std=1e-4)
        objective.recommendation.kind = kind
        flat = [0.3, *[0.2] * 100]
        result, *_ = self.scripted(tmp_path, flat, modules=(backbone, objective), learning_rate=1e-3)
        losses = [point["terms"]["recommendation"] for point in result.curves]
        guess = math.log(small.N if kind == "full" else 33)
        assert losses[0] > 0.99 * guess
        left = next(number for number, loss in enumerate(losses) if loss < 0.99 * guess)
        assert left > 2  # evaluations, at which the patience of two would have ended it
        assert (len(losses), result.best_step, result.stopped_by) == (left + 2, 5, "patience")

    def test_a_run_that_only_guessed_says_so(self, tmp_path):
        modules = small.models(semantic=False, item_std=1e-4)
        result, *_ = self.scripted(tmp_path, [0.1] * 20, modules=modules, learning_rate=1e-9, max_steps=30)
        assert (result.best_step, result.steps, result.stopped_by) == (5, 30, "guessing")

    def test_max_steps_ends_the_run_with_an_evaluation(self, tmp_path):
        result, *_ = self.scripted(tmp_path, [0.1, 0.2, 0.3], max_steps=12)
        assert (result.best_step, result.steps, result.stopped_by) == (12, 12, "max_steps")
        assert [point["step"] for point in result.curves] == [5, 10, 12]

    def test_the_best_weights_are_in_place_at_the_end(self, tmp_path):
        _, backbone, seen = self.scripted(tmp_path, [0.5, 0.2, 0.2])
        assert torch.equal(backbone.item_vectors(), seen[0])
        assert not backbone.training


class TestProgress:
    def test_callback_sees_steps_terms_and_metrics(self, tmp_path):
        seen = []
        result, _ = small.train(tmp_path, callback=seen.append, max_steps=50, evaluate_every=25)
        assert [p.step for p in seen] == [20, 25, 25, 45, 50, 50]
        assert [p.valid is not None for p in seen] == [False, False, True, False, False, True]
        assert all(p.max_steps == 50 for p in seen)
        assert seen[2].valid == result.curves[0]["valid"]
        assert seen[-1].terms == result.curves[-1]["terms"]

    def test_terms_are_means_since_the_last_evaluation(self, tmp_path):
        coarse, _ = small.train(tmp_path / "a", max_steps=60, evaluate_every=60)
        fine, _ = small.train(tmp_path / "b", max_steps=60, evaluate_every=30)
        for name, value in coarse.curves[0]["terms"].items():
            assert value == pytest.approx(sum(point["terms"][name] for point in fine.curves) / 2, rel=1e-6)

    def test_seconds_rise(self, undisturbed):
        seconds = [point["seconds"] for point in undisturbed[0].curves]
        assert seconds == sorted(seconds)
        assert seconds[0] > 0


class TestDeterminism:
    def test_the_same_run_gives_the_same_bits(self, undisturbed, tmp_path):
        assert_same(small.train(tmp_path), undisturbed)

    def test_another_seed_gives_others(self, undisturbed, tmp_path):
        assert small.train(tmp_path, seed=1)[0].curves[0]["terms"] != undisturbed[0].curves[0]["terms"]

    def test_two_threads_repeat_themselves(self, tmp_path):
        torch.set_num_threads(2)
        assert_same(small.train(tmp_path / "a"), small.train(tmp_path / "b"))

    def test_the_global_generator_is_neither_read_nor_changed(self, undisturbed, tmp_path):
        torch.manual_seed(123)
        before = torch.get_rng_state()
        assert_same(small.train(tmp_path), undisturbed)
        assert torch.equal(torch.get_rng_state(), before)


class TestResume:
    @pytest.mark.parametrize("step", [20, 40, 60, 100, 160])
    def test_interrupted_anywhere_gives_the_undisturbed_result(self, step, undisturbed, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            small.train(tmp_path, callback=Interruption(step))
        steps = []
        assert_same(small.train(tmp_path, callback=lambda p: steps.append(p.step)), undisturbed)
        done = (step - 1) // 40 * 40  # the callback at an evaluation point comes before its evaluation
        assert not steps or steps[0] == done + 20

    def test_interrupted_again_and_again_gives_the_undisturbed_result(self, undisturbed, tmp_path):
        for step in (60, 100, 140):
            with pytest.raises(KeyboardInterrupt):
                small.train(tmp_path, callback=Interruption(step))
        assert_same(small.train(tmp_path), undisturbed)

    @pytest.mark.parametrize("moment", small.MOMENTS)
    def test_killed_gives_the_undisturbed_result(self, moment, undisturbed, tmp_path):
        killed = subprocess.run(
            [sys.executable, "-m", "tests.training.small", str(tmp_path), moment], capture_output=True, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert any(tmp_path.iterdir())
        steps = []
        assert_same(small.train(tmp_path, callback=lambda p: steps.append(p.step)), undisturbed)
        resumed_from = 40 if moment in ("while writing", "before renaming") else 80
        assert steps[0] == resumed_from + 20
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000160"]

    def test_a_finished_run_is_not_trained_again(self, undisturbed, tmp_path):
        small.train(tmp_path)
        steps = []
        assert_same(small.train(tmp_path, callback=lambda p: steps.append(p.step)), undisturbed)
        assert steps == []

    def test_patience_goes_on_counting(self, tmp_path):
        recalls = {40: 0.5, 80: 0.4, 120: 0.3, 160: 0.2}

        def run(work, **changes):
            step = [0]

            def validate(_):
                return {"Recall@50": recalls[step[0]]}

            def watch(progress):
                step[0] = progress.step
                changes.get("stop", lambda _: None)(progress)

            return small.train(work, validate=validate, patience=2, callback=watch)

        expected = run(tmp_path / "a")
        assert expected[0].stopped_by == "patience"
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", stop=Interruption(100))
        assert_same(run(tmp_path / "b"), expected)

    def test_dropout_and_cloze_resume_too(self, tmp_path):
        def run(work, **changes):
            return small.train(work, *small.models("bert4rec"), **changes)

        expected = run(tmp_path / "a")
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", callback=Interruption(100))
        assert_same(run(tmp_path / "b"), expected)

    def test_dropout_of_any_backbone_resumes_too(self, tmp_path):
        class Forgetful(ComiRecSA):
            def encode_embedded(self, embedded, mask):
                return super().encode_embedded(torch.dropout(embedded, 0.2, self.training), mask)

        def run(work, **changes):
            torch.manual_seed(0)
            backbone = Forgetful(n_items=small.N, dim=16, interests=2, max_length=small.L)
            return small.train(work, backbone, small.models(semantic=False)[1], **changes)

        expected = run(tmp_path / "a")
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", callback=Interruption(100))
        assert_same(run(tmp_path / "b"), expected)


class TestRefusals:
    def test_another_runs_checkpoint(self, tmp_path):
        small.train(tmp_path, max_steps=40)
        with pytest.raises(ArtifactError, match="another run"):
            small.train(tmp_path, identity="another digest")

    def test_a_checkpoint_that_does_not_fit_the_model(self, tmp_path):
        small.train(tmp_path, max_steps=40)
        backbone, objective = small.models(semantic=False)
        with pytest.raises(ArtifactError, match="damaged"):
            small.train(tmp_path, backbone, objective)

    def test_a_damaged_checkpoint_and_its_remedy(self, undisturbed, tmp_path):
        small.train(tmp_path, max_steps=40)
        (state,) = tmp_path.glob("*/state.safetensors")
        state.write_bytes(state.read_bytes()[:500])
        with pytest.raises(ArtifactError, match="delete"):
            small.train(tmp_path)
        shutil.rmtree(state.parent)  # what the hint says
        assert_same(small.train(tmp_path), undisturbed)

    def test_a_loss_that_is_not_finite_names_step_and_term(self, tmp_path, monkeypatch):
        step, calls = loop.training_step, []

        def poisoned(*arguments):
            calls.append(1)
            terms = step(*arguments)
            if len(calls) == 27:
                terms |= {"loss": torch.tensor(torch.nan), "prediction": torch.tensor(torch.inf)}
            return terms

        monkeypatch.setattr(loop, "training_step", poisoned)
        with pytest.raises(TrainingError, match=r"loss is nan at step 27 \(term: prediction\).*learning_rate"):
            small.train(tmp_path)

    def test_a_diverging_run_is_stopped(self, tmp_path):
        with pytest.raises(TrainingError, match="at step"):
            small.train(tmp_path, learning_rate=1e30)

    @pytest.mark.parametrize("device", ["abacus", "meta", "cuda:99"])
    def test_a_device_that_is_not_there(self, device, tmp_path):
        with pytest.raises(ConfigError, match=f"no usable device '{device}'"):
            small.train(tmp_path, device=device)

    def test_users_who_are_all_too_short(self, tmp_path):
        short = PackedSequences(torch.ones(8, dtype=torch.int64), torch.tensor([0, 4]), torch.tensor([4, 4]))
        with pytest.raises(InputError, match="2 training users"):
            small.train(tmp_path, sequences=short)
