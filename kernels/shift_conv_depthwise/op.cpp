// The ops edgevid.ShiftConvDepthwise, edgevid.ShiftConvDepthwiseStride2 and edgevid.ShiftConvDepthwiseStep of ONNX
// Runtime. The stride is part of the name because shapes are inferred without attributes.
#include "../common/ort/scratch.h"
#include "../shift_conv/op.h"
#include "shift_conv_depthwise.h"

namespace edgevid {
namespace {

class DepthwiseBase : protected ShiftConvBase {
 public:
  DepthwiseBase(const ort::Attributes& attributes, int64_t stride) : ShiftConvBase(attributes) {
    depthwise_.stride = stride;
    depthwise_.low = attributes.real("depthwise_low");
    depthwise_.high = attributes.real("depthwise_high");
    ort::require(conv_.block != 1, "block must be 8 or 16");
  }

 protected:
  static ort::Shape strided(ort::Shape shape, int64_t stride) {
    for (size_t axis : {2, 3}) {
      // A size that is not known is -1.
      if (shape.at(axis) > 0) shape[axis] = (shape[axis] - 1) / stride + 1;
    }
    return shape;
  }

  // Input `weights` and those after it are the weights and biases of both convolutions. Returns the first one.
  ShiftConv run(const ort::Context& context, const ort::Tensor& state, size_t weights) const {
    ShiftConv conv = conv_;
    const ort::Tensor x = context.input(0), filters = context.input(weights + 2), bias = context.input(weights + 3);
    ort::Shape shape = take(conv, x, context.input(weights), context.input(weights + 1), {});
    if (state.data == nullptr) {
      check_clips(conv);
    } else {
      take_state(conv, x, state);
    }
    const ort::Shape expected = {conv.outputs, 1, 3, 3};
    ort::require(filters.shape == expected, "filters must be (outputs, 1, 3, 3)");
    ort::require(bias.elements_from(0) == conv.outputs, "bias must have a value for each output");
    ShiftConvDepthwise depthwise = depthwise_;
    depthwise.pointwise = conv;
    depthwise.height = x.shape[2];
    depthwise.width = x.shape[3];
    depthwise.weights = filters.data;
    depthwise.bias = bias.data;
    depthwise.y = context.output(0, strided(std::move(shape), depthwise.stride)).data;
    const DepthwisePieces pieces = EDGEVID_DISPATCH(isa_, cut_depthwise)(depthwise);
    const auto run_piece = EDGEVID_DISPATCH(isa_, run_depthwise);
    context.parallel_for(pieces.count, [&](int64_t piece) {
      run_piece(depthwise, pieces, piece, ort::thread_scratch(pieces.scratch_floats));
    });
    return conv;
  }

 private:
  ShiftConvDepthwise depthwise_{};
};

template <int kStride>
class ShiftConvDepthwiseOp : DepthwiseBase, public ort::Signature<5, 5> {
 public:
  static constexpr const char* kName = kStride == 1 ? "ShiftConvDepthwise" : "ShiftConvDepthwiseStride2";

  static void infer(const ort::Shapes& shapes) { shapes.set_output(0, strided(output_shape(shapes, 1), kStride)); }

  explicit ShiftConvDepthwiseOp(const ort::Attributes& attributes) : DepthwiseBase(attributes, kStride) {
    read_directions(attributes);
  }

  void compute(const ort::Context& context) const { run(context, {}, 1); }
};

class ShiftConvDepthwiseStepOp : DepthwiseBase, public ort::Signature<6, 6, 2> {
 public:
  static constexpr const char* kName = "ShiftConvDepthwiseStep";

  static void infer(const ort::Shapes& shapes) {
    shapes.set_output(0, output_shape(shapes, 2));
    shapes.set_output(1, shapes.input(1));
  }

  explicit ShiftConvDepthwiseStepOp(const ort::Attributes& attributes) : DepthwiseBase(attributes, 1) {
    conv_.frames = 1;
  }

  void compute(const ort::Context& context) const {
    const ort::Tensor state = context.input(1);
    const ShiftConv conv = run(context, state, 2);
    keep_state(conv, context.output(1, state.shape).data);
  }
};

const ort::Registration<ShiftConvDepthwiseOp<1>> shift_conv_depthwise;
const ort::Registration<ShiftConvDepthwiseOp<2>> shift_conv_depthwise_stride2;
const ort::Registration<ShiftConvDepthwiseStepOp> shift_conv_depthwise_step;

}  // namespace
}  // namespace edgevid
