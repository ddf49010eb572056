"""TensorRT: its README says how."""
