from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from eimf_local_models.builder.__main__ import MODELS, build
from eimf_local_models.builder.corpus import MAX_INTERESTS, frame
from eimf_local_models.builder.export import export_gguf, pin, start_from
from eimf_local_models.builder.network import Network, NetworkConfig
from eimf_local_models.builder.tokenizer import encode_frame, encode_text, stems_and_forms, vocabulary_of
from eimf_local_models.builder.train import Lessons, Trainer, TrainSettings
from tokenizers import Tokenizer

from eimf_local.errors import ModelFileError

from ..stock_llama import stock_llama
from .conftest import TOY, one_torch_thread

NAME = "eimf-tiny-qwen2.gguf"


def trained(folder: Path, lessons: Lessons) -> tuple[Network, Tokenizer]:
    tokenizer = lessons.tokenizer
    trainer = Trainer(
        lessons=lessons,
        config=NetworkConfig(tokenizer.get_vocab_size()),
        settings=TrainSettings(steps=TOY["steps"], seed=TOY["seed"]),
    )
    assert trainer.load(folder)
    return trainer.network, tokenizer


def test_logits_equal_llama_cpp(toy_folder: Path, lessons: Lessons) -> None:
    network, tokenizer = trained(toy_folder, lessons)
    head, tail = frame(MAX_INTERESTS)
    tokens = encode_frame(tokenizer, head) + encode_text(tokenizer, "[Rapidex Gel Pens][Gel Pens, 12 Count]\n")
    tokens += encode_frame(tokenizer, tail)
    llama = stock_llama(model_path=str(toy_folder / NAME), n_ctx=512, logits_all=True, n_threads=1, verbose=False)
    llama.eval(tokens)
    theirs = np.array(llama.scores[: len(tokens)])
    with torch.no_grad():
        ours = network(torch.tensor([tokens]))[0].numpy()
    # Q8_0 rounds weights and activations to 8 bits: about a hundredth of the logits' spread
    assert np.abs(theirs - ours).mean() < 0.02 * ours.std()
    assert (theirs.argmax(1) == ours.argmax(1)).mean() > 0.9


def test_a_training_may_start_from_a_model(toy_folder: Path, lessons: Lessons, tmp_path: Path) -> None:
    network, tokenizer = trained(toy_folder, lessons)
    fresh = Trainer(
        lessons=lessons, config=NetworkConfig(tokenizer.get_vocab_size()), settings=TrainSettings(steps=1, seed=9)
    ).network
    start_from(fresh, tokenizer, toy_folder / NAME)
    tokens = torch.tensor([encode_text(tokenizer, "[Rapidex Gel Pens][Gel Pens, 12 Count]\n")])
    with torch.no_grad():
        before, after = network(tokens), fresh(tokens)
    assert (after - before).abs().mean() < 0.02 * before.std()  # Q8_0 rounds weights
    with one_torch_thread():
        first, second = (build(out=tmp_path / name, **TOY, start=toy_folder / NAME) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes() != (toy_folder / NAME).read_bytes()
    with pytest.raises(ValueError, match="other settings"):
        build(out=tmp_path / "a", **TOY)


@pytest.mark.parametrize(("content", "told"), [(b"junk", "cannot be started from"), (None, "another corpus")])
def test_what_is_no_such_model_is_not_started_from(
    content: bytes | None, told: str, toy_folder: Path, lessons: Lessons, tmp_path: Path
) -> None:
    network, tokenizer = trained(toy_folder, lessons)
    other = tmp_path / "other.gguf" if content else MODELS / NAME
    if content:
        other.write_bytes(content)
    with pytest.raises(ValueError, match=told) as error:
        start_from(network, tokenizer, other)
    assert str(other) in str(error.value)


def test_a_start_that_is_no_gguf_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "notes.gguf").write_bytes(b"junk")
    with pytest.raises(ModelFileError, match=r"notes\.gguf is not a GGUF file"):
        build(out=tmp_path / "new", **TOY, start=tmp_path / "notes.gguf")
    assert not (tmp_path / "new").exists()


def test_builds_are_byte_identical(toy_folder: Path, tmp_path: Path, one_thread: None) -> None:
    again = build(out=tmp_path, **TOY)
    assert again.read_bytes() == (toy_folder / NAME).read_bytes()


def test_another_seed_gives_another_model(lessons: Lessons) -> None:
    def trainer(seed: int) -> Trainer:
        config = NetworkConfig(lessons.tokenizer.get_vocab_size())
        return Trainer(lessons=lessons, config=config, settings=TrainSettings(steps=2, seed=seed))

    first, other = (dict(trainer(seed).network.named_parameters()) for seed in (3, 4))
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_folder_of_another_vocabulary_is_refused(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="another corpus"):
        build(out=tmp_path, **TOY)


def test_file_holds_the_sum_of_stem_and_form(toy_folder: Path, lessons: Lessons) -> None:
    network, tokenizer = trained(toy_folder, lessons)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(toy_folder / NAME).tensors}
    assert "output.weight" not in tensors  # tied
    stored = gguf.quants.dequantize(tensors["token_embd.weight"].data, tensors["token_embd.weight"].tensor_type)
    stems, forms = stems_and_forms(vocabulary_of(tokenizer))
    expected = network.embedding.stem[stems] + network.embedding.form[forms]
    np.testing.assert_allclose(stored, expected.detach().numpy(), atol=0.004)


def test_pin_writes_the_files_digest(toy_folder: Path, tmp_path: Path) -> None:
    assert pin(toy_folder / NAME, tmp_path).read_bytes() == (toy_folder / NAME).read_bytes()
    (entry,) = tomllib.loads((tmp_path / "manifest.toml").read_text())["model"]
    data = (toy_folder / NAME).read_bytes()
    assert entry["file"] == NAME
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert entry["size"] == len(data)
    assert entry["context"] == 4096
    assert "users of invented shop titles;" in entry["description"]


def test_a_file_of_another_builder_is_not_pinned(tmp_path: Path) -> None:
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / NAME).write_text("the one before")
    writer = gguf.GGUFWriter(tmp_path / NAME, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"does not say its general\.description"):
        pin(tmp_path / NAME, tmp_path / "bundled")
    assert (tmp_path / "bundled" / NAME).read_text() == "the one before"
    assert not (tmp_path / "bundled" / "manifest.toml").exists()


def test_a_file_that_ends_early_is_not_pinned(toy_folder: Path, tmp_path: Path) -> None:
    for length in (0, 3, 100, 5000):
        (tmp_path / NAME).write_bytes((toy_folder / NAME).read_bytes()[:length])
        with pytest.raises(ValueError, match="is no GGUF"):
            pin(tmp_path / NAME, tmp_path / "bundled")


def test_the_description_names_the_shops_whose_titles_were_read(
    toy_folder: Path, lessons: Lessons, tmp_path: Path
) -> None:
    export_gguf(*trained(toy_folder, lessons), tmp_path / NAME, shops=["north", "south"])
    description = gguf.GGUFReader(tmp_path / NAME).fields["general.description"].contents()
    assert "users of invented shop titles and titles of north and south;" in description
