// The TensorRT plugin ShiftConv.
#include "../common/tensorrt/plugin.h"
#include "cuda.cuh"

namespace edgevid {
namespace plugin {
namespace {

// x, weights, bias -> y in half, channels-last. `kernel` counts the compiled kernels; the other numbers are in it.
struct ShiftConv {
  static constexpr int kAttributes = 1, kInputs = 3, kOutputs = 1;
  static constexpr bool kPlain = false;
  static const char* name() { return "ShiftConv"; }
  static const char* attribute(int) { return "kernel"; }
  static bool is_weight(int input) { return input > 0; }
  static bool takes(DataType type) { return type == DataType::kHALF; }
  static bool takes(TensorFormat format, const PluginTensorDesc& x) { return is_channels_last(format, x.dims); }
  static DimsExprs shape(int, const DimsExprs* inputs, int, const Values<ShiftConv>&, nvinfer1::IExprBuilder&) {
    DimsExprs y = inputs[0];
    y.d[1] = inputs[1].d[0];
    return y;
  }
  static int run(const Call<ShiftConv>& call) {
    const Dims& x = call.in[0].dims;
    const cuda::ShiftConv conv{static_cast<int>(x.d[0]), pixels_of(x),   call.inputs[0],
                               call.inputs[1],           call.inputs[2], call.outputs[0]};
    return cuda::run(call.values.at[0], channels_of(x), channels_of(call.out[0].dims), conv, call.stream);
  }
};

EDGEVID_REGISTER_PLUGIN(ShiftConv);

}  // namespace
}  // namespace plugin
}  // namespace edgevid
