"""Many schema-constrained answers: ours beside llama-cpp-python's loop, in one run on one machine.

Run as ``python -m tests.benchmarks.llm_inference --vocabulary ggml-vocab-qwen2.gguf``: random weights in the shape of
Qwen2.5-0.5B with the real Qwen2 vocabulary, written once to ``--model-file``. The vocabulary lies in llama-cpp-python's
source package (``pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36``) under
``vendor/llama.cpp/models``.

Each prompt has 20 titles; each answer has 96 tokens, since the schemas allow none so short to end. The loops answer a
sample of the prompts one by one, half of it before ours and half after. Needs quiet cores. Exit status 1 if a limit is
missed. ``--many N`` instead answers N prompts with the bundled model and prints the worker's memory on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import eimf_local  # noqa: F401  (process-wide switches: before any heavy library loads)

os.environ.setdefault("GOMP_SPINCOUNT", "300")  # as in the worker: the loops shall not be slower for it

# isort: split
import gguf
import llama_cpp
import numba
import numpy as np
import outlines
from outlines.backends.outlines_core import OutlinesCoreBackend

from eimf_local.esim.batched_decoding import BatchedDecoder, Task
from eimf_local.esim.constraint import SchemaConstraint
from eimf_local.esim.llama_context import LlamaContext
from eimf_local.esim.llama_model import LlamaModel
from eimf_local.esim.llm import Answer, LocalLLM, Request
from eimf_local.esim.model_files import BUNDLED_MODEL, ModelFile, resolve_model
from eimf_local.esim.prompts import Prompt, PromptTemplate, interests_schema

from ..stock_llama import stock_llama
from .random_qwen import KV_BYTES_PER_TOKEN, multiplications_per_row, write_random_qwen

TITLES, TOKENS, CONTEXT = 20, 96, 2048
THREADS = len(os.sched_getaffinity(0))
LIMITS = {"plain loop": 2.5, "outlines_core loop": 1.5}
WORDS = (
    "Professional Stainless Steel Garden Trowel Ergonomic Wooden Handle Moisturizing Shampoo Sensitive Skin Organic "
    "Coconut Fragrance Wireless Keyboard Rechargeable Battery Premium Fountain Pen Medium Point Assorted Colors "
    "Leather Notebook Heavy Duty Stapler Vintage Ceramic Teapot Waterproof Mascara Volume Brown Desk Organizer Mesh"
)
SYSTEM = (
    "You read what a person has bought and tell what the person is interested in. Name each interest in two to five "
    "words, in lower case, without brands, sizes, colours or numbers. Name no interest twice, and none that the "
    "purchases do not show. Answer with a JSON object and nothing else."
)
BEFORE = "The person bought, from the oldest to the newest:\n"
AFTER = "Which interests do these purchases show?"


def schema_of(items: Mapping[str, Any], **bounds: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"interests": {"type": "array", "items": {"type": "string", **items}, **bounds}},
        "required": ["interests"],
        "additionalProperties": False,
    }


LONG = schema_of({"minLength": 20, "maxLength": 60}, minItems=20, maxItems=20)
OURS = {**LONG, "x-guidance": interests_schema(20)["x-guidance"]}
CORE = schema_of({}, minItems=TOKENS // 2)  # bounds on items and lengths at once would explode its index


def prompts(count: int) -> list[Prompt]:
    """Of about 650 tokens, 80 of them shared."""
    draw, words = random.Random(0), WORDS.split()
    made = []
    for user in range(count):
        titles = (f"[{' '.join(draw.choices(words, k=15))}, {draw.randint(2, 99)}-Pack]" for _ in range(TITLES))
        made.append(Prompt(user=f"u{user}", system=SYSTEM, before=BEFORE, titles=tuple(titles), after=AFTER))
    return made


def greedy(asked: Sequence[Prompt], max_tokens: int = TOKENS) -> list[Request]:
    return [Request(prompt, max_tokens, 0.0, 0) for prompt in asked]


class Loop:
    """One ``create_chat_completion`` after another; llama-cpp-python keeps the prefix that two prompts share."""

    def __init__(self, llm: llama_cpp.Llama, **constraint: Any) -> None:
        self._llm = llm
        self._constraint = constraint

    def seconds(self, asked: Sequence[Prompt]) -> list[float]:
        taken = []
        for prompt in asked:
            began = time.perf_counter()
            for processor in self._constraint.get("logits_processor", ()):
                processor.reset()
            user = f"{prompt.before}{''.join(prompt.titles)}\n{prompt.after}"
            reply: Any = self._llm.create_chat_completion(
                [{"role": "system", "content": prompt.system}, {"role": "user", "content": user}],
                max_tokens=TOKENS,
                temperature=0.0,
                **self._constraint,
            )
            taken.append(time.perf_counter() - began)
            if reply["usage"]["completion_tokens"] < TOKENS - 1:
                print(f"  an answer of {reply['usage']['completion_tokens']} tokens: not comparable")
        return taken


def loops(model: Path) -> dict[str, Loop]:
    llm = stock_llama(
        model_path=str(model),
        n_ctx=CONTEXT,
        n_threads=THREADS,
        n_threads_batch=THREADS,
        chat_format="chatml",
        verbose=False,
    )
    processor = OutlinesCoreBackend(outlines.from_llamacpp(llm)).get_json_schema_logits_processor(json.dumps(CORE))
    return {
        "plain loop": Loop(llm, response_format={"type": "json_object", "schema": LONG}),
        "outlines_core loop": Loop(llm, logits_processor=llama_cpp.LogitsProcessorList([processor])),
    }


class TimedContext(LlamaContext):
    """Notes each call's sequences, rows, outputs and seconds inside llama.cpp."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.calls: list[tuple[int, int, int, float]] = []

    def decode(self, tokens: Any, positions: Any, sequences: Any, outputs: Any) -> Any:
        began = time.perf_counter()
        logits = super().decode(tokens, positions, sequences, outputs)
        self.calls.append((len(set(sequences)), len(tokens), sum(outputs), time.perf_counter() - began))
        return logits


def decode_here(model: Path, asked: Sequence[Prompt], slots: int) -> tuple[float, list[tuple[int, int, int, float]]]:
    """Seconds of the engine in this process, and its calls of llama.cpp; the rest is Python and the constraint."""
    weights = LlamaModel(str(model), gpu_layers=0)
    constraint = SchemaConstraint(weights, OURS)
    context = TimedContext(weights, sequences=slots, length=CONTEXT, threads=THREADS)
    decoder, waiting = BatchedDecoder(context, constraint, slots=slots), list(enumerate(asked))
    began = time.perf_counter()
    while waiting or not decoder.idle:
        while waiting and decoder.has_room:
            number, prompt = waiting.pop(0)
            head = weights.tokenize(prompt.head, special=True)
            rest = weights.tokenize("".join(prompt.titles) + "\n", special=False)
            rest += weights.tokenize(prompt.tail, special=True)
            decoder.start(Task(number, tuple(head), tuple(rest), TOKENS, 0.0, 0))
        decoder.step()
    seconds = time.perf_counter() - began
    context.close()
    weights.close()
    return seconds, context.calls


@numba.njit(parallel=True, fastmath=True)
def _triad(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    for i in numba.prange(len(a)):
        a[i] = b[i] + 3.0 * c[i]


def triad_bandwidth() -> float:
    """Bytes a second of a = b + 3 c over arrays far larger than the caches (STREAM's triad); best of 8."""
    numba.set_num_threads(min(THREADS, numba.get_num_threads()))
    a, b, c = (np.ones(2**25, np.float32) for _ in range(3))
    _triad(a, b, c)
    return max(3 * a.nbytes / _seconds(lambda: _triad(a, b, c)) for _ in range(8))


def matrix_flops() -> float:
    """Operations a second of NumPy's float32 matrix product; best of 5."""
    a = np.ones((2048, 2048), np.float32)
    a @ a
    return max(2 * 2048**3 / _seconds(lambda: a @ a) for _ in range(5))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def memory_of(llm: LocalLLM) -> dict[str, float]:
    """MB of the worker: at most so far ("VmHWM"), and now ("VmRSS")."""
    assert llm._process is not None
    lines = Path(f"/proc/{llm._process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
    return {name: int(value.split()[0]) / 1024 for name, value in fields.items()}


def local(model: Path, **settings: Any) -> LocalLLM:
    return LocalLLM(ModelFile("random", model, "0", pinned=False), schema=OURS, context=CONTEXT, **settings)


def seconds_to_first_token(model: Path, prompt: Prompt) -> tuple[float, float]:
    """Of a new worker with a prompt of one title; and of llama.cpp loading the file alone."""
    short = Prompt(prompt.user, "", "", prompt.titles[:1], "")

    def start() -> None:
        with local(model, parallel=1) as llm:
            list(llm.answers(greedy([short], max_tokens=1)))

    return _seconds(start), _seconds(lambda: LlamaModel(str(model), gpu_layers=0).close())


def report_throughput(model: Path, asked: list[Prompt], sample: int) -> bool:
    """Prompts a second of all engines; whether ours is as much faster as it must be."""
    print(f"{len(asked)} prompts of {TITLES} titles, {TOKENS} tokens each, {THREADS} threads; seconds a prompt")
    others = loops(model)
    taken: dict[str, list[float]] = {name: [] for name in others}
    with local(model) as llm:
        halves = [asked[: sample // 2], asked[sample // 2 : sample]]
        for name, loop in others.items():
            loop.seconds(asked[-1:])  # reads the shared prefix, and warms up
            taken[name] += loop.seconds(halves[0])
        began = time.perf_counter()
        answers = [answer for _, answer in llm.answers(greedy(asked))]
        ours = (time.perf_counter() - began) / len(asked)
        for name, loop in others.items():
            taken[name] += loop.seconds(halves[1])
        kept = report_memory(model, llm)
    assert all(isinstance(answer, Answer) and answer.tokens == TOKENS for answer in answers)
    read = [answer.prompt_tokens for answer in answers if isinstance(answer, Answer)]
    print(f"  ours, {llm.description['slots']} at once {ours:12.2f}   ({median(read):.0f} prompt tokens)")
    for name, seconds in taken.items():
        ratio = median(seconds) / ours
        kept &= ratio >= LIMITS[name]
        print(f"  {name:18} {median(seconds):10.2f}   ours is {ratio:.2f} times as fast (limit {LIMITS[name]})")
    return kept


def report_memory(model: Path, llm: LocalLLM) -> bool:
    megabytes = 2**20
    kv = llm.description["slots"] * CONTEXT * KV_BYTES_PER_TOKEN / megabytes
    peak, file = memory_of(llm)["VmHWM"], model.stat().st_size / megabytes
    rest = peak - file - kv
    print(f"  worker's memory at most {peak:.0f} MB = file {file:.0f} + KV {kv:.0f} + {rest:.0f} (limit 600)")
    return rest <= 600


def report_steps(model: Path, asked: list[Prompt], slots: int) -> bool:
    """Prefill and decoding apart, each against its limit, and what Python and the constraint add."""
    seconds, calls = decode_here(model, asked, slots)
    inside = sum(call[3] for call in calls)
    bandwidth, flops = triad_bandwidth(), matrix_flops()
    print(
        f"  limits of this machine: triad {bandwidth / 1e9:.1f} GB/s, float32 matrix product {flops / 1e9:.0f} GFLOP/s"
    )
    prefill = [call for call in calls if call[1] > call[0]]
    rows, took = sum(call[1] for call in prefill), sum(call[3] for call in prefill)
    rate = 2 * multiplications_per_row(output=False) * rows / took
    print(f"  prefill {rows / took:.0f} tokens/s, {rate / 1e9:.0f} GFLOP/s: {rate / flops:.2f} of the matrix product")
    full = [call for call in calls if call[0] == call[1] == slots]
    step = median(call[3] for call in full)
    bytes_per_step = sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(model).tensors)
    rate = 2 * multiplications_per_row(output=True) * slots / step
    print(
        f"  decoding {slots} at once {1e3 * step:.1f} ms a step, {slots / step:.0f} tokens/s: "
        f"{bytes_per_step / step / bandwidth:.2f} of the triad, {rate / flops:.2f} of the product"
    )
    overhead = seconds / inside - 1
    print(f"  constraint and Python add {100 * overhead:.1f} % to llama.cpp's own time (limit 15)")
    return overhead <= 0.15


def many(count: int) -> bool:
    """Answer ``count`` prompts of one to eight titles with the bundled model; whether memory stays where it was."""
    draw, words, template = random.Random(1), WORDS.split(), PromptTemplate.read()

    def asked() -> Iterator[Prompt]:
        for user in range(count):
            titles = [f"[{' '.join(draw.choices(words, k=9))}]" for _ in range(1 + user % 8)]
            yield template.render(user=f"u{user}", titles=titles, max_interests=12)

    requests, done, seen = greedy(list(asked()), 128), 0, []
    with LocalLLM(resolve_model(BUNDLED_MODEL), schema=interests_schema(12), context=CONTEXT) as llm:
        outcomes = llm.answers(requests)
        while batch := list(islice(outcomes, max(1, count // 10))):
            done += len(batch)
            seen.append(memory_of(llm)["VmRSS"])
            print(f"  {done:6} prompts: {seen[-1]:.0f} MB")
    return seen[-1] - seen[0] < 20


@llama_cpp.llama_log_callback
def silent(level: int, text: bytes, user_data: object) -> None:
    """llama.cpp's own log."""


def main() -> int:
    """Measure, print, and compare with the limits."""
    options = _options()
    llama_cpp.llama_log_set(silent, None)
    if options.many:
        return 0 if many(options.many) else 1
    if not options.model_file.exists():
        if options.vocabulary is None:
            print(f"{options.model_file} is not there yet; give --vocabulary (--help says where that lies) to write it")
            return 2
        options.model_file.parent.mkdir(parents=True, exist_ok=True)
        write_random_qwen(options.model_file, options.vocabulary)
    asked = prompts(options.prompts)
    total, loading = seconds_to_first_token(options.model_file, asked[0])
    print(f"start-up to the first token {total:.1f} s, of which loading takes {loading:.1f} s (limit 3 s beyond)")
    kept = [total - loading < 3, report_throughput(options.model_file, asked, options.loop_prompts)]
    kept.append(report_steps(options.model_file, asked[: options.slots], options.slots))
    return 0 if all(kept) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-file", type=Path, default=Path("build/bench/random-qwen2.5-0.5b-q4_0.gguf"))
    parser.add_argument("--vocabulary", type=Path, help="a GGUF with the Qwen2 vocabulary, to write --model-file")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--loop-prompts", type=int, default=8, help="how many of them the loops answer")
    parser.add_argument("--slots", type=int, default=16, help="of the step-by-step measurement")
    parser.add_argument("--many", type=int, help="answer this many prompts with the bundled model instead")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
