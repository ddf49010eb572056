// The op edgevid.WinogradConv of ONNX Runtime.
#include "../common/ort/registry.h"
#include "../common/ort/scratch.h"
#include "winograd.h"

namespace edgevid {
namespace {

class WinogradConvOp : public ort::Signature<4, 2, 1, 3> {
 public:
  static constexpr const char* kName = "WinogradConv";

  static void infer(const ort::Shapes& shapes) {
    ort::Shape shape = shapes.input(0);
    shape.at(1) = shapes.input(1).at(1);
    shapes.set_output(0, shape);
  }

  explicit WinogradConvOp(const ort::Attributes& attributes) : isa_(select_isa()) {
    conv_.block = attributes.integer("block");
    conv_.low = attributes.real("low");
    conv_.high = attributes.real("high");
    conv_.slope = attributes.real_or(1, "slope");
    ort::require(conv_.block == 8 || conv_.block == 16, "block must be 8 or 16");
    ort::require(conv_.block != 8 || isa_ != Isa::kAvx512, "block 8 is not for avx512");
  }

  void compute(const ort::Context& context) const {
    WinogradConv conv = conv_;
    const ort::Tensor x = context.input(0), weights = context.input(1), bias = context.input(2),
                      residual = context.input(3);
    ort::require(x.shape.size() == 4 && weights.shape.size() == 3, "x needs 4 dimensions, weights 3");
    conv.images = x.shape[0];
    conv.inputs = x.shape[1];
    conv.height = x.shape[2];
    conv.width = x.shape[3];
    conv.outputs = weights.shape[1];
    ort::require(weights.shape[0] == kPoints && weights.shape[2] == conv.inputs,
                 "weights must be (36, outputs, channels of x)");
    ort::require(conv.inputs % conv.block == 0 && conv.outputs % conv.block == 0,
                 "channels must be a multiple of the block");
    ort::require(conv.inputs > 0 && conv.inputs <= kMaxChannels, "too many channels");
    ort::require(bias.data == nullptr || bias.elements_from(0) == conv.outputs,
                 "bias must have one value for each output");
    const ort::Shape shape = {conv.images, conv.outputs, conv.height, conv.width};
    ort::require(residual.data == nullptr || residual.shape == shape, "residual must be like y");
    conv.x = x.data;
    conv.weights = weights.data;
    conv.bias = bias.data;
    conv.residual = residual.data;
    conv.y = context.output(0, shape).data;
    const WinogradPieces pieces = EDGEVID_DISPATCH(isa_, cut_winograd)(conv);
    const auto run = EDGEVID_DISPATCH(isa_, run_winograd);
    context.parallel_for(pieces.count,
                         [&](int64_t piece) { run(conv, pieces, piece, ort::thread_scratch(pieces.scratch_floats)); });
  }

 private:
  // The list of input blocks stands on a thread's stack.
  static constexpr int64_t kMaxChannels = 1 << 16;

  WinogradConv conv_{};
  Isa isa_;
};

const ort::Registration<WinogradConvOp> winograd_conv;

}  // namespace
}  // namespace edgevid
