"""eimf-local: the EIMF method (LLM-based bi-level multi-interest recommendation), offline on one machine.

Importing the package sets process-wide switches that are read once, when the heavy libraries load: idle OpenMP
threads sleep instead of spinning (two spinning processes on two cores slow llama.cpp down 30-50 times), and no
library may reach for a hub or send telemetry. A value that the user set is kept.
"""

import os

for _name, _value in {
    "OMP_WAIT_POLICY": "passive",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}.items():
    os.environ.setdefault(_name, _value)

__version__ = "0.1.0"
