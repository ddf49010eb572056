"""ONNX Runtime: its README says how."""
