"""TVM: its README says how."""

from edgevid.backends.protocol import Backend

BACKEND = Backend(
    name="tvm",
    title="TVM: one library, compiled for this processor or an arm64 device",
    precisions=("fp32",),
    board_address="rpc://HOST:PORT/KEY",
    module="edgevid.backends.tvm.backend",
)
