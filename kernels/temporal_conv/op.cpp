// The ops edgevid.TemporalConv and edgevid.TemporalConvStep of ONNX Runtime.
#include <algorithm>
#include <cstring>

#include "../ort/registry.h"
#include "temporal_conv.h"

namespace edgevid {
namespace {

// Floats of x that are worth a thread's while.
constexpr int64_t kPieceFloats = 1 << 14;

// Pixels of a block whose states are brought into its layout at a time, on a thread's stack.
constexpr int64_t kStepPixels = 64;

// From (block, pixels) with `plane` floats from channel to channel to (pixels, block), and back.
void to_block(float* target, const float* source, int64_t block, int64_t plane, int64_t pixels) {
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    for (int64_t lane = 0; lane < block; ++lane) target[pixel * block + lane] = source[lane * plane + pixel];
  }
}

void from_block(float* target, const float* source, int64_t block, int64_t plane, int64_t pixels) {
  for (int64_t lane = 0; lane < block; ++lane) {
    for (int64_t pixel = 0; pixel < pixels; ++pixel) target[lane * plane + pixel] = source[pixel * block + lane];
  }
}

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
                 "TemporalConv: weights must be (channels of x, taps)");
    ort::require(x.shape[0] % conv.frames == 0, "TemporalConv: images are not whole clips");
    ort::require(bias.data == nullptr || bias.elements_from(0) == x.shape[1],
                 "TemporalConv: bias must have one value for each channel");
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

class TemporalConvOp : Base {
 public:
  static constexpr const char* kName = "TemporalConv";
  static constexpr size_t kInputs = 3, kRequiredInputs = 2, kOutputs = 1;
  static constexpr int kInplaceInput = -1;

  static void infer(const ort::Shapes& shapes) { shapes.set_output(0, shapes.input(0)); }

  explicit TemporalConvOp(const ort::Attributes& attributes)
      : Base(attributes), causal_(attributes.integer("causal") != 0) {
    conv_.frames = attributes.integer("frames");
    ort::require(conv_.frames >= 1, "TemporalConv: frames must be positive");
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

class TemporalConvStepOp : Base {
 public:
  static constexpr const char* kName = "TemporalConvStep";
  static constexpr size_t kInputs = 4, kRequiredInputs = 3, kOutputs = 2;
  static constexpr int kInplaceInput = -1;

  static void infer(const ort::Shapes& shapes) {
    shapes.set_output(0, shapes.input(0));
    shapes.set_output(1, shapes.input(1));
  }

  explicit TemporalConvStepOp(const ort::Attributes& attributes) : Base(attributes) {}

  // state is (images, past * channels, ...), the oldest frame first, in plain layout whatever x's is.
  void compute(const ort::Context& context) const {
    TemporalConv conv = conv_;
    const ort::Tensor x = context.input(0), state = context.input(1);
    take(conv, x, context.input(2), context.input(3));
    conv.past = conv.taps - 1;
    require_runnable(conv);
    ort::Shape wanted = x.shape;
    wanted[1] *= conv.past;
    ort::require(state.shape == wanted, "TemporalConvStep: state must be the frames before x");
    conv.state = state.data;
    conv.y = context.output(0, x.shape).data;
    conv.next_state = context.output(1, wanted).data;
    if (conv.block == 1) return run_on(context, conv);
    ort::require(1 <= conv.past && conv.past <= kMaxStates, "TemporalConvStep: in blocks taps must be 3, 5 or 7");
    const int64_t tiles = (conv.pixels + kStepPixels - 1) / kStepPixels;
    const int64_t count = conv.batch * conv.channels / conv.block * tiles;
    context.parallel_ranges(count, conv.batch * conv.channels * conv.pixels / kPieceFloats,
                            [&](int64_t begin, int64_t end) {
                              for (int64_t i = begin; i < end; ++i) step(conv, i / tiles, i % tiles * kStepPixels);
                            });
  }

 private:
  static constexpr int64_t kMaxBlock = 16, kMaxStates = 6;

  // Some pixels of a block of channels: the states are brought into its layout, and what follows out of it.
  void step(const TemporalConv& conv, int64_t block, int64_t pixel) const {
    const int64_t pixels = std::min(conv.pixels - pixel, kStepPixels);
    const int64_t blocks = conv.channels / conv.block, channel = block % blocks * conv.block;
    const int64_t frame = conv.channels * conv.pixels;
    const int64_t in_plain = block / blocks * conv.past * frame + channel * conv.pixels + pixel;
    const int64_t in_blocks = (block * conv.pixels + pixel) * conv.block;
    const float* state = conv.state + in_plain;
    float* next_state = conv.next_state + in_plain;
    float seen[kMaxStates * kStepPixels * kMaxBlock];
    for (int64_t i = 0; i < conv.past; ++i) {
      to_block(seen + i * pixels * conv.block, state + i * frame, conv.block, conv.pixels, pixels);
    }
    TemporalConv tile = conv;
    tile.batch = 1;
    tile.channels = conv.block;
    tile.pixels = pixels;
    tile.x = conv.x + in_blocks;
    tile.y = conv.y + in_blocks;
    tile.weights = conv.weights + channel * conv.taps;
    tile.bias = conv.bias ? conv.bias + channel : nullptr;
    tile.state = seen;
    tile.next_state = nullptr;
    EDGEVID_DISPATCH(isa_, run(tile, 0, 1));
    for (int64_t i = 0; i + 1 < conv.past; ++i) {
      for (int64_t lane = 0; lane < conv.block; ++lane) {
        const int64_t row = i * frame + lane * conv.pixels;
        std::memcpy(next_state + row, state + row + frame, static_cast<size_t>(pixels) * sizeof(float));
      }
    }
    from_block(next_state + (conv.past - 1) * frame, tile.x, conv.block, conv.pixels, pixels);
  }
};

const ort::Registration<TemporalConvOp> temporal_conv;
const ort::Registration<TemporalConvStepOp> temporal_conv_step;

}  // namespace
}  // namespace edgevid
