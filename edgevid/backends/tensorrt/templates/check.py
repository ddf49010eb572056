"""Compare trtexec's outputs.json with PyTorch's outputs, by the rules of edgevid.parity.compare.

Standard library only, Python 3.6 or later.
"""

import json
import math
import re
import sys


def main(precision):
    with open("check/expected.json") as file:
        expected = json.load(file)
    if precision not in expected["tolerance"]:
        return f"this bundle has no {precision}: use {' or '.join(expected['tolerance'])}"
    try:
        with open("outputs.json") as file:
            outputs = read_outputs(file.read())
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"outputs.json cannot be read ({error}): run ./run.sh again"
    for name, values in expected["outputs"].items():
        if name not in outputs or len(outputs[name][1]) != len(values):
            return f"the engine has no output '{name}' of {len(values)} values: build it again"
    shapes = expected["shapes"]
    result = distance(outputs, {name: (shapes[name], values) for name, values in expected["outputs"].items()})
    tolerance = expected["tolerance"][precision]
    verdict = "equal" if result <= tolerance else "NOT EQUAL"
    print(f"{verdict} to PyTorch: max|a-b| / max|b| = {result:.2e}, tolerance {tolerance:g} ({precision})")
    return 0 if result <= tolerance else 1


def read_outputs(text):
    """Shape and values by name; the shape is None if trtexec did not write it."""
    # trtexec prints NaN and infinity the C++ way, which is not valid JSON.
    text = re.sub(r"(?<=[\s,\[])-?(nan|inf)(?=[\s,\]])", "NaN", text)
    outputs = {}
    for output in json.loads(text):
        dimensions = output.get("dimensions")
        shape = [int(size) for size in dimensions.split("x")] if dimensions else None
        outputs[output["name"]] = (shape, output["values"])
    return outputs


def distance(result, expected):
    """max|a-b| / max|b| over all outputs, (shape, values) by name; infinite if they cannot be compared.

    That is if an expected output is missing or has another shape, if any value is not finite, in other
    outputs (the states of a stream) too, or if nothing is expected.
    """
    other_values = [values for name, (_, values) in result.items() if name not in expected]
    if not expected or not all(map(is_finite, other_values)):
        return math.inf
    worst = 0.0
    for name, (shape, values) in expected.items():
        result_shape, result_values = result.get(name, (None, []))
        if result_shape not in (None, shape) or len(result_values) != len(values):
            return math.inf
        if not (is_finite(values) and is_finite(result_values)):
            return math.inf
        difference = max((abs(a - b) for a, b in zip(result_values, values)), default=0.0)
        scale = max(map(abs, values), default=0.0)
        if difference:
            worst = max(worst, difference / scale if scale else math.inf)
    return worst


def is_finite(values):
    return all(map(math.isfinite, values))


if __name__ == "__main__":
    status = main(sys.argv[1])
    sys.exit("check.py: " + status if isinstance(status, str) else status)
