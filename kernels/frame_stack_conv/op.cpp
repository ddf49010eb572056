// The op edgevid.FrameStackConv of ONNX Runtime.
#include "../shift_conv/op.h"

namespace edgevid {
namespace {

class FrameStackConvOp : public ort::Signature<4, 2, 1, 3> {
 public:
  static constexpr const char* kName = "FrameStackConv";

  static void infer(const ort::Shapes& shapes) {
    ort::Shape shape = shapes.input(0);
    shape.at(1) = shapes.input(1).at(0);
    shapes.set_output(0, shape);
  }

  explicit FrameStackConvOp(const ort::Attributes& attributes) : isa_(select_isa()) {
    conv_.block = attributes.integer("block");
    conv_.frames = attributes.integer("frames");
    conv_.taps = attributes.integer("taps");
    conv_.first = attributes.integer("first");
    conv_.dilation = attributes.integer("dilation");
    conv_.low = attributes.real("low");
    conv_.high = attributes.real("high");
    conv_.slope = attributes.real_or(1, "slope");
    ort::require(conv_.block == 8 || conv_.block == 16, "block must be 8 or 16");
    ort::require(conv_.block != 8 || isa_ != Isa::kAvx512, "block 8 is not for avx512");
    ort::require(conv_.frames >= 1 && conv_.taps >= 1 && conv_.dilation >= 1,
                 "frames, taps and dilation must be positive");
  }

  void compute(const ort::Context& context) const {
    ShiftConv conv = conv_;
    const ort::Tensor x = context.input(0), weights = context.input(1), bias = context.input(2),
                      residual = context.input(3);
    ort::require(x.shape.size() == 4 && weights.shape.size() == 4, "x and weights need 4 dimensions");
    conv.images = x.shape[0];
    conv.pixels = x.shape[2] * x.shape[3];
    conv.outputs = weights.shape[0];
    conv.inputs = weights.shape[1];
    ort::require(conv.inputs == conv.taps * x.shape[1] && weights.elements_from(2) == 1,
                 "weights must be (outputs, taps * channels of x, 1, 1)");
    ort::require(x.shape[1] % conv.block == 0 && conv.outputs % conv.block == 0,
                 "channels must be a multiple of the block");
    ort::require(conv.inputs > 0 && conv.inputs <= kMaxChannels, "too many channels");
    ort::require(conv.images % conv.frames == 0, "images are not whole clips");
    ort::require(bias.data == nullptr || bias.elements_from(0) == conv.outputs,
                 "bias must have one value for each output");
    const ort::Shape shape = {conv.images, conv.outputs, x.shape[2], x.shape[3]};
    ort::require(residual.data == nullptr || residual.shape == shape, "residual must be like y");
    conv.x = x.data;
    conv.weights = weights.data;
    conv.bias = bias.data;
    conv.residual = residual.data;
    conv.y = context.output(0, shape).data;
    run_conv(context, isa_, conv);
  }

 private:
  // The list of runs of an image stands on a thread's stack.
  static constexpr int64_t kMaxChannels = 1 << 16;

  ShiftConv conv_{};
  Isa isa_;
};

const ort::Registration<FrameStackConvOp> frame_stack_conv;

}  // namespace
}  // namespace edgevid
