// The ops edgevid.TemporalConv and edgevid.TemporalConvStep of ONNX Runtime.
#include "../common/ort/registry.h"
#include "temporal_conv.h"

namespace edgevid {
namespace {

// Floats of x that are worth a thread's while.
constexpr int64_t kPieceFloats = 1 << 14;

// What both ops have in common. A file of a bundle says nothing of block, low and high: plain, no activation.
class Base {
 public:
  explicit Base(const ort::Attributes& attributes) : isa_(select_isa()) {
    conv_.block = attributes.integer_or(conv_.block, "block");
    conv_.low = attributes.real_or(conv_.low, "low");
    conv_.high = attributes.real_or(conv_.high, "high");
  }

 protected:
  TemporalConv conv_{};
  Isa isa_;

  // Fills in the tensors; x is (images, channels, ...).
  void take(TemporalConv& conv, const ort::Tensor& x, const ort::Tensor& weights, const ort::Tensor& bias) const {
    ort::require(x.shape.size() >= 2 && weights.shape.size() == 2 && weights.shape[0] == x.shape[1],
                 "weights must be (channels of x, taps)");
    ort::require(x.shape[0] % conv.frames == 0, "images are not whole clips");
    ort::require(bias.data == nullptr || bias.elements_from(0) == x.shape[1],
                 "bias must have one value for each channel");
    conv.batch = x.shape[0] / conv.frames;
    conv.channels = x.shape[1];
    conv.pixels = x.elements_from(2);
    conv.taps = weights.shape[1];
    conv.x = x.data;
    conv.weights = weights.data;
    conv.bias = bias.data;
  }

  void require_runnable(const TemporalConv& conv) const {
    if (const char* reason = EDGEVID_DISPATCH(isa_, why_not(conv))) ort::require(false, reason);
  }

  void run_on(const ort::Context& context, const TemporalConv& conv) const {
    const int64_t floats = conv.batch * conv.frames * conv.channels * conv.pixels;
    context.parallel_ranges(EDGEVID_DISPATCH(isa_, work_items(conv)), floats / kPieceFloats,
                            [&](int64_t begin, int64_t end) { EDGEVID_DISPATCH(isa_, run(conv, begin, end)); });
  }
};

class TemporalConvOp : Base, public ort::Signature<3, 2> {
 public:
  static constexpr const char* kName = "TemporalConv";

  explicit TemporalConvOp(const ort::Attributes& attributes)
      : Base(attributes), causal_(attributes.integer("causal") != 0) {
    conv_.frames = attributes.integer("frames");
    ort::require(conv_.frames >= 1, "frames must be positive");
  }

  void compute(const ort::Context& context) const {
    TemporalConv conv = conv_;
    const ort::Tensor x = context.input(0);
    take(conv, x, context.input(1), context.input(2));
    conv.past = causal_ ? conv.taps - 1 : (conv.taps - 1) / 2;
    require_runnable(conv);
    conv.y = context.output(0, x.shape).data;
    run_on(context, conv);
  }

 private:
  bool causal_;
};

class TemporalConvStepOp : Base, public ort::Signature<4, 3, 2> {
 public:
  static constexpr const char* kName = "TemporalConvStep";

  explicit TemporalConvStepOp(const ort::Attributes& attributes) : Base(attributes) {}

  // state is (images, past * channels, ...), the oldest frame first, in plain layout whatever x's is.
  void compute(const ort::Context& context) const {
    TemporalConv conv = conv_;
    const ort::Tensor x = context.input(0), state = context.input(1);
    take(conv, x, context.input(2), context.input(3));
    conv.past = conv.taps - 1;
    require_runnable(conv);
    ort::Shape expected = x.shape;
    expected[1] *= conv.past;
    ort::require(state.shape == expected, "state must be the frames before x");
    conv.state = state.data;
    conv.y = context.output(0, x.shape).data;
    conv.next_state = context.output(1, expected).data;
    if (conv.block == 1) return run_on(context, conv);
    if (const char* reason = EDGEVID_DISPATCH(isa_, why_no_step(conv))) ort::require(false, reason);
    const int64_t floats = conv.batch * conv.channels * conv.pixels;
    context.parallel_ranges(EDGEVID_DISPATCH(isa_, step_items(conv)), floats / kPieceFloats,
                            [&](int64_t begin, int64_t end) { EDGEVID_DISPATCH(isa_, run_step(conv, begin, end)); });
  }
};

const ort::Registration<TemporalConvOp> temporal_conv;
const ort::Registration<TemporalConvStepOp> temporal_conv_step;

}  // namespace
}  // namespace edgevid
