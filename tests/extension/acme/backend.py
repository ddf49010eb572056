"""A backend: the graph as it is, run by ONNX's reference evaluator."""

from edgevid.specs import Artefact, Availability


def available():
    return Availability(True, "it is pure Python")


def compile(graph, job, folder):
    import onnx_ir as ir

    from edgevid.backends.protocol import Compiled

    ir.save(graph, folder / "model.onnx")
    return Compiled("model.onnx", (Artefact("model.onnx", "fp32", "the reference", "acme"),), kernels=())


def open_model(artefact, folder, options):
    return Runner(folder / artefact.file)


class Runner:
    threads, op_coverage = 1, ()

    def __init__(self, path):
        from onnx.reference import ReferenceEvaluator

        self.evaluator = ReferenceEvaluator(str(path))
        self.inputs, self.outputs = self.evaluator.input_names, self.evaluator.output_names

    def run(self, inputs):
        return dict(zip(self.outputs, self.evaluator.run(None, dict(inputs))))

    def bind(self, inputs):
        return lambda: self.run(inputs) and None

    def stepper(self, frame, states):
        raise NotImplementedError("this backend takes whole clips")
