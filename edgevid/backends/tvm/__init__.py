"""TVM: its README says how."""
