"""The bundle's llama-cpp-python, built for every x86-64 family, beside the one compiled here for this processor.

``python -m tests.benchmarks.portable_llama --wheel build/bundle/llama/*/*.whl``: 16 prompts are read and answered in 16
slots by the model that ``tests.benchmarks.llm_inference`` writes, by each build in processes of its own, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SLOTS, ROUNDS = 16, 3


def main() -> int:
    """Measure both and print the ratios."""
    options = _options()
    if options.wheel is None:
        print(json.dumps(_rates(options.model_file)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, str(options.wheel)]
        subprocess.run(pip, check=True)
        found: dict[str, list[dict[str, float]]] = {"compiled here": [], "portable": []}
        for _ in range(ROUNDS):
            for name, path in (("compiled here", "."), ("portable", f"{folder}{os.pathsep}.")):
                command = [sys.executable, "-m", "tests.benchmarks.portable_llama"]
                command += ["--model-file", str(options.model_file)]
                environment = {**os.environ, "PYTHONPATH": path}
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(rates[key] for rates in all_rates) for key in all_rates[0]}
        for name, all_rates in found.items()
    }
    for name, rates in medians.items():
        print(f"{name:14} reading {rates['reading']:6.0f} tokens/s, decoding {rates['decoding']:5.0f} tokens/s")
    for key in ("reading", "decoding"):
        print(f"portable over compiled here, {key}: {medians['portable'][key] / medians['compiled here'][key]:.2f}")
    return 0


def _rates(model: Path) -> dict[str, float]:
    """Tokens a second that were read, and that were decoded with all slots busy."""
    import llama_cpp

    from .llm_inference import decode_here, prompts, silent

    llama_cpp.llama_log_set(silent, None)
    _, calls = decode_here(model, prompts(SLOTS), SLOTS)
    reading = [call for call in calls if call[1] > call[0]]
    decoding = [call[3] for call in calls if call[0] == call[1] == SLOTS]
    return {
        "reading": sum(call[1] for call in reading) / sum(call[3] for call in reading),
        "decoding": SLOTS / statistics.median(decoding),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="without it: the rates of the build that is imported, as JSON")
    parser.add_argument("--model-file", type=Path, default=Path("build/bench/random-qwen2.5-0.5b-q4_0.gguf"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
