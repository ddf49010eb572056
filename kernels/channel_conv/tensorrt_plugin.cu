// The TensorRT plugin ChannelConv.
#include "../common/tensorrt/plugin.h"
#include "cuda.cuh"

namespace edgevid {
namespace plugin {
namespace {

// x, weights, bias? -> y, in plain layout.
struct ChannelConv {
  static constexpr int kAttributes = 3, kInputs = 2, kOutputs = 1;
  static constexpr bool kPlain = true;
  static const char* name() { return "ChannelConv"; }
  static const char* attribute(int i) {
    static const char* const names[] = {"stride", "pad_begin", "pad_end"};
    return names[i];
  }
  static bool is_weight(int input) { return input > 0; }
  static bool takes(DataType type) { return is_float(type); }
  static bool takes(TensorFormat, const PluginTensorDesc&) { return false; }

  // The channels are filters * ((pad_begin + channels + pad_end - taps) / stride + 1).
  static DimsExprs shape(int, const DimsExprs* inputs, int, const Values<ChannelConv>& values,
                         nvinfer1::IExprBuilder& build) {
    using nvinfer1::DimensionOperation;
    const auto& at = values.at;
    const auto* padded = build.operation(DimensionOperation::kSUM, *inputs[0].d[1], *build.constant(at[1] + at[2]));
    const auto* way = build.operation(DimensionOperation::kSUB, *padded, *inputs[1].d[1]);
    const auto* steps = build.operation(DimensionOperation::kFLOOR_DIV, *way, *build.constant(at[0]));
    const auto* outputs = build.operation(DimensionOperation::kSUM, *steps, *build.constant(1));
    DimsExprs shape = inputs[0];
    shape.d[1] = build.operation(DimensionOperation::kPROD, *inputs[1].d[0], *outputs);
    return shape;
  }
  static int run(const Call<ChannelConv>& call) {
    const PluginTensorDesc &x = call.in[0], &weights = call.in[1];
    const auto& values = call.values.at;
    const cuda::ChannelConv conv{static_cast<int>(x.dims.d[0]),
                                 channels_of(x.dims),
                                 pixels_of(x.dims),
                                 static_cast<int>(weights.dims.d[0]),
                                 static_cast<int>(weights.dims.d[1]),
                                 values[0],
                                 values[1],
                                 values[2],
                                 x.type == DataType::kHALF,
                                 call.inputs[0],
                                 call.inputs[1],
                                 call.input_or_null(2),
                                 call.outputs[0]};
    return cuda::run(conv, call.stream);
  }
};

EDGEVID_REGISTER_PLUGIN(ChannelConv);

}  // namespace
}  // namespace plugin
}  // namespace edgevid
