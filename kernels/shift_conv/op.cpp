// The ops edgevid.ShiftConv and edgevid.ShiftConvStep of ONNX Runtime.
#include "../ort/registry.h"
#include "shift_conv.h"

namespace edgevid {
namespace {

void run(const ort::Context& context, Isa isa, const ShiftConv& conv) {
  const bool plain = conv.block == 1;
  const auto cut = plain ? EDGEVID_DISPATCH(isa, cut_plain_conv) : EDGEVID_DISPATCH(isa, cut_blocked_conv);
  const auto piece = plain ? EDGEVID_DISPATCH(isa, run_plain_conv) : EDGEVID_DISPATCH(isa, run_blocked_conv);
  const ShiftConvPieces pieces = cut(conv);
  context.parallel_for(pieces.count, [&](int64_t index) { piece(conv, pieces, index); });
}

// What both ops have in common; `x` is (images, channels, height, width), the batch folded into images.
class Base {
 public:
  explicit Base(const ort::Attributes& attributes) : isa_(select_isa()) {
    conv_.block = attributes.integer("block");
    conv_.fold = attributes.integer("fold");
    conv_.low = attributes.real("low");
    conv_.high = attributes.real("high");
    ort::require(conv_.block == 1 || conv_.block == 8 || conv_.block == 16,
                 "ShiftConv: block must be 1, 8 or 16");
    ort::require(conv_.block != 8 || isa_ != Isa::kAvx512, "ShiftConv: block 8 is not for avx512");
    ort::require(conv_.fold >= 0, "ShiftConv: fold must not be negative");
  }

 protected:
  ShiftConv conv_{};
  Isa isa_;

  static ort::Shape output_shape(const ort::Shapes& shapes, size_t weights) {
    ort::Shape shape = shapes.input(0);
    shape.at(1) = shapes.input(weights).at(0);
    return shape;
  }

  // Fills in the tensors; gives y's shape.
  ort::Shape take(ShiftConv& conv, const ort::Tensor& x, const ort::Tensor& weights,
                            const ort::Tensor& bias, const ort::Tensor& residual) const {
    ort::require(x.shape.size() == 4 && weights.shape.size() == 4, "ShiftConv: x and weights need 4 dimensions");
    conv.images = x.shape[0];
    conv.inputs = x.shape[1];
    conv.pixels = x.shape[2] * x.shape[3];
    conv.outputs = weights.shape[0];
    ort::require(weights.shape[1] == conv.inputs && weights.elements_from(2) == 1,
                 "ShiftConv: weights must be (outputs, channels of x, 1, 1)");
    ort::require(conv.inputs % conv.block == 0 && conv.outputs % conv.block == 0,
                 "ShiftConv: channels must be a multiple of the block");
    ort::require(conv.inputs > 0 && conv.inputs <= kMaxChannels, "ShiftConv: too many channels");
    ort::require(bias.data == nullptr || bias.elements_from(0) == conv.outputs,
                 "ShiftConv: bias must have one value for each output");
    ort::Shape shape = {conv.images, conv.outputs, x.shape[2], x.shape[3]};
    ort::require(residual.data == nullptr || residual.shape == shape, "ShiftConv: residual must be like y");
    conv.x = x.data;
    conv.weights = weights.data;
    conv.bias = bias.data;
    conv.residual = residual.data;
    return shape;
  }

 private:
  // The list of runs of an image stands on a thread's stack.
  static constexpr int64_t kMaxChannels = 1 << 16;
};

class ShiftConvOp : Base {
 public:
  static constexpr const char* kName = "ShiftConv";
  static constexpr size_t kInputs = 4, kRequiredInputs = 2, kOutputs = 1;
  static constexpr int kInplaceInput = 3;

  static void infer(const ort::Shapes& shapes) { shapes.set_output(0, output_shape(shapes, 1)); }

  explicit ShiftConvOp(const ort::Attributes& attributes) : Base(attributes) {
    conv_.frames = attributes.integer("frames");
    conv_.first = attributes.integer("first");
    conv_.second = attributes.integer("second");
    ort::require(conv_.frames >= 1, "ShiftConv: frames must be positive");
  }

  void compute(const ort::Context& context) const {
    ShiftConv conv = conv_;
    auto shape = take(conv, context.input(0), context.input(1), context.input(2), context.input(3));
    ort::require(conv.images % conv.frames == 0, "ShiftConv: images are not whole clips");
    ort::require(conv.fold * (conv.second != 0 ? 2 : 1) <= conv.inputs, "ShiftConv: fold is too large");
    conv.y = context.output(0, std::move(shape)).data;
    run(context, isa_, conv);
  }
};

class ShiftConvStepOp : Base {
 public:
  static constexpr const char* kName = "ShiftConvStep";
  static constexpr size_t kInputs = 5, kRequiredInputs = 3, kOutputs = 2;
  static constexpr int kInplaceInput = 4;

  static void infer(const ort::Shapes& shapes) {
    shapes.set_output(0, output_shape(shapes, 2));
    shapes.set_output(1, shapes.input(1));
  }

  explicit ShiftConvStepOp(const ort::Attributes& attributes) : Base(attributes) { conv_.frames = 1; }

  void compute(const ort::Context& context) const {
    ShiftConv conv = conv_;
    const ort::Tensor x = context.input(0), state = context.input(1);
    auto shape = take(conv, x, context.input(2), context.input(3), context.input(4));
    const ort::Shape wanted = {conv.images, conv.fold, x.shape[2], x.shape[3]};
    ort::require(state.shape == wanted, "ShiftConvStep: state must be (images, fold, height, width)");
    conv.state = state.data;
    conv.y = context.output(0, std::move(shape)).data;
    float* next_state = context.output(1, wanted).data;
    run(context, isa_, conv);
    keep(conv, next_state);
  }

 private:
  // The first `fold` channels of x, in plain layout.
  static void keep(const ShiftConv& conv, float* next_state) {
    for (int64_t image = 0; image < conv.images; ++image) {
      for (int64_t channel = 0; channel < conv.fold; ++channel) {
        const float* x = conv.x + (image * conv.inputs + channel - channel % conv.block) * conv.pixels +
                         channel % conv.block;
        for (int64_t pixel = 0; pixel < conv.pixels; ++pixel) *next_state++ = x[pixel * conv.block];
      }
    }
  }
};

const ort::Registration<ShiftConvOp> shift_conv;
const ort::Registration<ShiftConvStepOp> shift_conv_step;

}  // namespace
}  // namespace edgevid
