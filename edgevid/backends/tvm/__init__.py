"""The TVM backend; its README describes the design."""

from edgevid.backends.protocol import Backend

BACKEND = Backend(
    name="tvm",
    title="TVM: one library, compiled for this processor or for an arm64 device",
    precisions=("fp32",),
    board_address="rpc://HOST:PORT/KEY",
    module="edgevid.backends.tvm.backend",
)
