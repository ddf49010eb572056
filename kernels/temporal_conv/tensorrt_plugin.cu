// The TensorRT plugins TemporalConv and TemporalConvStep.
#include "../common/tensorrt/plugin.h"
#include "cuda.cuh"

namespace edgevid {
namespace plugin {
namespace {

// x, weights, bias? -> y; plain, or in half channels-last.
struct TemporalConv {
  static constexpr int kAttributes = 2, kInputs = 2, kOutputs = 1;
  static constexpr bool kPlain = true;
  static const char* name() { return "TemporalConv"; }
  static const char* attribute(int i) { return i == 0 ? "frames" : "causal"; }
  static bool is_weight(int input) { return input > 0; }
  static bool takes(DataType type) { return is_float(type); }
  static bool takes(TensorFormat format, const PluginTensorDesc& x) {
    return x.type == DataType::kHALF && is_channels_last(format, x.dims);
  }
  static DimsExprs shape(int, const DimsExprs* inputs, int, const Values<TemporalConv>&, nvinfer1::IExprBuilder&) {
    return inputs[0];
  }
  static int run(const Call<TemporalConv>& call) {
    const PluginTensorDesc& x = call.in[0];
    const int frames = call.values.at[0], taps = static_cast<int>(call.in[1].dims.d[1]);
    if (frames < 1 || x.dims.d[0] % frames) return cudaErrorInvalidValue;
    const cuda::TemporalConv conv{static_cast<int>(x.dims.d[0]) / frames,
                                  frames,
                                  channels_of(x.dims),
                                  pixels_of(x.dims),
                                  taps,
                                  call.values.at[1] ? taps - 1 : taps / 2,
                                  x.format == TensorFormat::kHWC8,
                                  x.type == DataType::kHALF,
                                  call.inputs[0],
                                  call.inputs[1],
                                  call.input_or_null(2),
                                  nullptr,
                                  call.outputs[0],
                                  nullptr};
    return cuda::run(conv, call.stream);
  }
};

// x, state, weights, bias? -> y, next_state; plain. The state is the frames before x, behind each other.
struct TemporalConvStep {
  static constexpr int kAttributes = 0, kInputs = 3, kOutputs = 2;
  static constexpr bool kPlain = true;
  static const char* name() { return "TemporalConvStep"; }
  static const char* attribute(int) { return ""; }
  static bool is_weight(int input) { return input > 1; }
  static bool takes(DataType type) { return is_float(type); }
  static bool takes(TensorFormat, const PluginTensorDesc&) { return false; }
  static DimsExprs shape(int output, const DimsExprs* inputs, int, const Values<TemporalConvStep>&,
                         nvinfer1::IExprBuilder&) {
    return inputs[output];
  }
  static int run(const Call<TemporalConvStep>& call) {
    const PluginTensorDesc& x = call.in[0];
    const int taps = static_cast<int>(call.in[2].dims.d[1]);
    const cuda::TemporalConv conv{static_cast<int>(x.dims.d[0]),
                                  1,
                                  channels_of(x.dims),
                                  pixels_of(x.dims),
                                  taps,
                                  taps - 1,
                                  false,
                                  x.type == DataType::kHALF,
                                  call.inputs[0],
                                  call.inputs[2],
                                  call.input_or_null(3),
                                  call.inputs[1],
                                  call.outputs[0],
                                  call.outputs[1]};
    return cuda::run(conv, call.stream);
  }
};

EDGEVID_REGISTER_PLUGIN(TemporalConv);
EDGEVID_REGISTER_PLUGIN(TemporalConvStep);

}  // namespace
}  // namespace plugin
}  // namespace edgevid
