"""Compare outputs.json, which trtexec wrote, with PyTorch's answer. Standard library only, Python 3.6 on."""

import json
import math
import re
import sys

precision = sys.argv[1]
with open("check/expected.json") as file:
    expected = json.load(file)
if precision not in expected["tolerance"]:
    sys.exit(f"check.py: this bundle was not made for {precision}: use {' or '.join(expected['tolerance'])}")
with open("outputs.json") as file:
    text = file.read()
# trtexec writes numbers that are none as C++ does, which is no JSON.
text = re.sub(r"(?<=[\s,\[])-?(nan|inf)(?=[\s,\]])", "NaN", text)
try:
    outputs = {output["name"]: output["values"] for output in json.loads(text)}
except (ValueError, KeyError, TypeError) as error:
    sys.exit(f"check.py: outputs.json cannot be read ({error}): run ./run.sh again")

tolerance = expected["tolerance"][precision]
worst = 0.0
for name, values in expected["outputs"].items():
    if name not in outputs or len(outputs[name]) != len(values):
        sys.exit(f"check.py: the engine has no output '{name}' of {len(values)} values: build it again")
    error = max(abs(a - b) if math.isfinite(a) else math.inf for a, b in zip(outputs[name], values))
    worst = max(worst, error / max(abs(b) for b in values))
verdict = "equal" if worst <= tolerance else "NOT EQUAL"
print(f"{verdict} to PyTorch: max|a-b| / max|b| = {worst:.2e}, tolerance {tolerance:g} ({precision})")
sys.exit(0 if worst <= tolerance else 1)
