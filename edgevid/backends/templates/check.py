"""Compare outputs.json, which trtexec wrote, with what PyTorch computed. Standard library only, Python 3.6+."""

import json
import sys

precision = sys.argv[1]
with open("check/expected.json") as file:
    expected = json.load(file)
with open("outputs.json") as file:
    outputs = {output["name"]: output["values"] for output in json.load(file)}

tolerance = expected["tolerance"][precision]
worst = 0.0
for name, values in expected["outputs"].items():
    if name not in outputs or len(outputs[name]) != len(values):
        sys.exit("check.py: the engine has no output '%s' of %d values: build it again" % (name, len(values)))
    error = max(abs(a - b) for a, b in zip(outputs[name], values))
    worst = max(worst, error / max(abs(b) for b in values))
verdict = "equal" if worst <= tolerance else "NOT EQUAL"
print("%s to PyTorch: max|a-b| / max|b| = %.2e, tolerance %.0e (%s)" % (verdict, worst, tolerance, precision))
sys.exit(0 if worst <= tolerance else 1)
