"""Run the README's shell and Python blocks, so that they cannot rot.

`make test` is left to the caller, `make lab` to a browser test.
"""

import re
import subprocess
import sys
from pathlib import Path

root = Path(__file__).parent.parent
for language, block in re.findall(
    r"```(sh|python)\n(.*?)```", (root / "README.md").read_text(), flags=re.S
):
    if language == "python":
        print("+ README's Python block", flush=True)
        subprocess.run([root / ".venv/bin/python", "-c", block], check=True, cwd=root)
        continue
    for line in block.splitlines():
        if line in ("make test", "make lab"):
            continue
        model = next(
            iter(sorted(root.glob("demo/runs/semi-supervised-*/model.safetensors"))), "MODEL"
        )
        words = line.replace("MODEL", str(model)).split()
        print("+", line, flush=True)
        if words[0] == "vad-ssl":
            words[0] = str(root / ".venv/bin/vad-ssl")
        subprocess.run(words, check=True, cwd=root)
sys.exit(0)
