// The TensorRT plugins TemporalShift and TemporalShiftStep.
#include "../common/tensorrt/plugin.h"
#include "cuda.cuh"

namespace edgevid {
namespace plugin {
namespace {

// x -> y, in any element type: plain, channels-last, or in int8 in groups of 4 or 32 channels.
struct TemporalShift {
  static constexpr int kAttributes = 4, kInputs = 1, kOutputs = 1;
  static constexpr bool kPlain = true;
  static const char* name() { return "TemporalShift"; }
  static const char* attribute(int i) {
    static const char* const names[] = {"frames", "fold", "first", "second"};
    return names[i];
  }
  static bool is_weight(int) { return false; }
  static bool takes(DataType type) { return is_float(type) || type == DataType::kINT8; }
  static bool takes(TensorFormat format, const PluginTensorDesc& x) {
    if (x.type == DataType::kINT8) return x.dims.nbDims == 4 && lanes_of(format) > 1;
    return x.type == DataType::kHALF && is_channels_last(format, x.dims);
  }
  static int lanes_of(TensorFormat format) {
    return format == TensorFormat::kCHW4 ? 4 : format == TensorFormat::kCHW32 ? 32 : 1;
  }
  static DimsExprs shape(int, const DimsExprs* inputs, int, const Values<TemporalShift>&, nvinfer1::IExprBuilder&) {
    return inputs[0];
  }
  static int run(const Call<TemporalShift>& call) {
    const PluginTensorDesc& x = call.in[0];
    const auto& values = call.values.at;
    const int channels = channels_of(x.dims);
    const int lanes = x.format == TensorFormat::kHWC8 ? channels : lanes_of(x.format);
    const cuda::TemporalShift shift{static_cast<int>(x.dims.d[0]),
                                    values[0],
                                    channels,
                                    pixels_of(x.dims),
                                    values[1],
                                    values[2],
                                    values[3],
                                    lanes,
                                    bytes_of(x.type),
                                    call.inputs[0],
                                    call.outputs[0]};
    return cuda::run(shift, call.stream);
  }
};

// x, state -> y, next_state. Channels-last only if the state is so without padding as well.
struct TemporalShiftStep {
  static constexpr int kAttributes = 1, kInputs = 2, kOutputs = 2;
  static constexpr bool kPlain = true;
  static const char* name() { return "TemporalShiftStep"; }
  static const char* attribute(int) { return "fold"; }
  static bool is_weight(int) { return false; }
  static bool takes(DataType type) { return is_float(type) || type == DataType::kINT8; }
  static bool takes(TensorFormat format, const PluginTensorDesc& x) {
    return x.type == DataType::kHALF && is_channels_last(format, x.dims);
  }
  static DimsExprs shape(int output, const DimsExprs* inputs, int, const Values<TemporalShiftStep>&,
                         nvinfer1::IExprBuilder&) {
    return inputs[output];
  }
  static int run(const Call<TemporalShiftStep>& call) {
    const PluginTensorDesc& x = call.in[0];
    const int channels = channels_of(x.dims), lanes = x.format == TensorFormat::kHWC8 ? channels : 1;
    const cuda::TemporalShiftStep step{static_cast<int>(x.dims.d[0]),
                                       channels,
                                       pixels_of(x.dims),
                                       call.values.at[0],
                                       lanes,
                                       bytes_of(x.type),
                                       call.inputs[0],
                                       call.inputs[1],
                                       call.outputs[0],
                                       call.outputs[1]};
    return cuda::run(step, call.stream);
  }
};

EDGEVID_REGISTER_PLUGIN(TemporalShift);
EDGEVID_REGISTER_PLUGIN(TemporalShiftStep);

}  // namespace
}  // namespace plugin
}  // namespace edgevid
