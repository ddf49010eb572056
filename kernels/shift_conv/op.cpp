// The ops edgevid.ShiftConv and edgevid.ShiftConvStep of ONNX Runtime.
#include "op.h"

namespace edgevid {
namespace {

class ShiftConvOp : ShiftConvBase, public ort::Signature<4, 2, 1, 3> {
 public:
  static constexpr const char* kName = "ShiftConv";

  static void infer(const ort::Shapes& shapes) { shapes.set_output(0, output_shape(shapes, 1)); }

  explicit ShiftConvOp(const ort::Attributes& attributes) : ShiftConvBase(attributes) { read_directions(attributes); }

  void compute(const ort::Context& context) const {
    ShiftConv conv = conv_;
    auto shape = take(conv, context.input(0), context.input(1), context.input(2), context.input(3));
    check_clips(conv);
    conv.y = context.output(0, std::move(shape)).data;
    run_conv(context, isa_, conv);
  }
};

class ShiftConvStepOp : ShiftConvBase, public ort::Signature<5, 3, 2, 4> {
 public:
  static constexpr const char* kName = "ShiftConvStep";

  static void infer(const ort::Shapes& shapes) {
    shapes.set_output(0, output_shape(shapes, 2));
    shapes.set_output(1, shapes.input(1));
  }

  explicit ShiftConvStepOp(const ort::Attributes& attributes) : ShiftConvBase(attributes) { conv_.frames = 1; }

  void compute(const ort::Context& context) const {
    ShiftConv conv = conv_;
    const ort::Tensor x = context.input(0), state = context.input(1);
    auto shape = take(conv, x, context.input(2), context.input(3), context.input(4));
    take_state(conv, x, state);
    conv.y = context.output(0, std::move(shape)).data;
    float* next_state = context.output(1, state.shape).data;
    run_conv(context, isa_, conv);
    keep_state(conv, next_state);
  }
};

const ort::Registration<ShiftConvOp> shift_conv;
const ort::Registration<ShiftConvStepOp> shift_conv_step;

}  // namespace
}  // namespace edgevid
