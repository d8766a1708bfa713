import errno
import json
import os

import pytest
import torch

from eimf_local.errors import ArtifactError, StorageError
from eimf_local.training import checkpoint
from eimf_local.training.checkpoint import RECORD, TENSORS, load_checkpoint, save_checkpoint

STATE = {"weights": torch.arange(6.0).view(2, 3), "generator": torch.arange(5, dtype=torch.uint8)}


def save(work, step=40, **changes):
    given = {"identity": "mine", "tensors": STATE, "counters": {"step": step, "best": 0.1}}
    return save_checkpoint(work, step=step, **(given | changes))


def names(work):
    return sorted(path.name for path in work.iterdir())


def test_loading_gives_what_was_saved(tmp_path):
    save(tmp_path / "work")
    found = load_checkpoint(tmp_path / "work", "mine")
    assert found.counters == {"step": 40, "best": 0.1}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in STATE.items())


def test_nothing_stored_is_none(tmp_path):
    assert load_checkpoint(tmp_path, "mine") is None
    assert load_checkpoint(tmp_path / "missing", "mine") is None


def test_only_the_newest_stays_and_other_files_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    (tmp_path / ".checkpoint-00000020.partial-1").mkdir()
    save(tmp_path, 40)
    save(tmp_path, 80)
    assert names(tmp_path) == ["checkpoint-00000080", "notes.txt"]


def test_leftovers_of_a_killed_process_of_the_same_number_do_not_matter(tmp_path):
    leftover = tmp_path / f".checkpoint-00000040.partial-{os.getpid()}"
    leftover.mkdir()
    (leftover / TENSORS).write_text("half")
    save(tmp_path, 40)
    assert names(tmp_path) == ["checkpoint-00000040"]
    assert load_checkpoint(tmp_path, "mine") is not None


def test_shared_and_strided_tensors_are_stored(tmp_path):
    base = torch.arange(6.0).view(2, 3)
    save(tmp_path, tensors={"a": base, "b": base.T})
    assert torch.equal(load_checkpoint(tmp_path, "mine").tensors["b"], base.T)


def test_of_another_run_is_refused_with_a_remedy(tmp_path):
    save(tmp_path)
    with pytest.raises(ArtifactError, match=r"another run.*choose another --out"):
        load_checkpoint(tmp_path, "yours")


HARMS = ("byte changed", "truncated", "no tensors", "no record", "broken record", "no counters")


@pytest.mark.parametrize("how", HARMS)
def test_damage_is_a_named_error(how, tmp_path):
    path = save(tmp_path)
    tensors, record = path / TENSORS, path / RECORD
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    {
        "byte changed": lambda: tensors.write_bytes(content),
        "truncated": lambda: tensors.write_bytes(content[:-4]),
        "no tensors": tensors.unlink,
        "no record": record.unlink,
        "broken record": lambda: record.write_text(record.read_text()[:-30]),
        "no counters": lambda: record.write_text(json.dumps({"schema": 1, "identity": "mine", "sha256": ""})),
    }[how]()
    with pytest.raises(ArtifactError, match=r"damaged.*delete") as caught:
        load_checkpoint(tmp_path, "mine")
    assert str(path) in caught.value.message


def test_a_full_disk_is_a_storage_error_and_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path, 40)

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", refuse)
    with pytest.raises(StorageError, match=r"No space left.*free some space"):
        save(tmp_path, 80)
    assert names(tmp_path) == ["checkpoint-00000040"]
    assert load_checkpoint(tmp_path, "mine").counters["step"] == 40


def test_an_unwritable_place_is_a_storage_error(tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises(StorageError):
        save(tmp_path / "work")
