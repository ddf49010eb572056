// What the ops around a shift and its convolution have in common: their attributes, tensors and states.
#pragma once

#include "../common/ort/registry.h"
#include "shift_conv.h"

namespace edgevid {

inline void run_conv(const ort::Context& context, Isa isa, const ShiftConv& conv) {
  const bool plain = conv.block == 1;
  const auto cut = plain ? EDGEVID_DISPATCH(isa, cut_plain_conv) : EDGEVID_DISPATCH(isa, cut_blocked_conv);
  const auto piece = plain ? EDGEVID_DISPATCH(isa, run_plain_conv) : EDGEVID_DISPATCH(isa, run_blocked_conv);
  const ShiftConvPieces pieces = cut(conv);
  context.parallel_for(pieces.count, [&](int64_t index) { piece(conv, pieces, index); });
}

// `x` is (images, channels, height, width), the batch folded into images.
class ShiftConvBase {
 public:
  explicit ShiftConvBase(const ort::Attributes& attributes) : isa_(select_isa()) {
    conv_.block = attributes.integer("block");
    conv_.fold = attributes.integer("fold");
    conv_.low = attributes.real("low");
    conv_.high = attributes.real("high");
    conv_.slope = attributes.real_or(1, "slope");
    ort::require(conv_.block == 1 || conv_.block == 8 || conv_.block == 16, "block must be 1, 8 or 16");
    ort::require(conv_.block != 8 || isa_ != Isa::kAvx512, "block 8 is not for avx512");
    ort::require(conv_.fold >= 0, "fold must not be negative");
  }

 protected:
  ShiftConv conv_{};
  Isa isa_;

  // Of a clip: how many frames it has, and which way each fold of channels goes.
  void read_directions(const ort::Attributes& attributes) {
    conv_.frames = attributes.integer("frames");
    conv_.first = attributes.integer("first");
    conv_.second = attributes.integer("second");
    ort::require(conv_.frames >= 1, "frames must be positive");
  }

  static ort::Shape output_shape(const ort::Shapes& shapes, size_t weights) {
    ort::Shape shape = shapes.input(0);
    shape.at(1) = shapes.input(weights).at(0);
    return shape;
  }

  // Fills in the tensors; returns y's shape.
  ort::Shape take(ShiftConv& conv, const ort::Tensor& x, const ort::Tensor& weights, const ort::Tensor& bias,
                  const ort::Tensor& residual) const {
    ort::require(x.shape.size() == 4 && weights.shape.size() == 4, "x and weights need 4 dimensions");
    conv.images = x.shape[0];
    conv.inputs = x.shape[1];
    conv.pixels = x.shape[2] * x.shape[3];
    conv.outputs = weights.shape[0];
    ort::require(weights.shape[1] == conv.inputs && weights.elements_from(2) == 1,
                 "weights must be (outputs, channels of x, 1, 1)");
    ort::require(conv.inputs % conv.block == 0 && conv.outputs % conv.block == 0,
                 "channels must be a multiple of the block");
    ort::require(conv.inputs > 0 && conv.inputs <= kMaxChannels, "too many channels");
    ort::require(bias.data == nullptr || bias.elements_from(0) == conv.outputs,
                 "bias must have one value for each output");
    ort::Shape shape = {conv.images, conv.outputs, x.shape[2], x.shape[3]};
    ort::require(residual.data == nullptr || residual.shape == shape, "residual must be like y");
    conv.x = x.data;
    conv.weights = weights.data;
    conv.bias = bias.data;
    conv.residual = residual.data;
    return shape;
  }

  static void check_clips(const ShiftConv& conv) {
    ort::require(conv.images % conv.frames == 0, "images are not whole clips");
    ort::require(conv.fold * (conv.second != 0 ? 2 : 1) <= conv.inputs, "fold is too large");
  }

  static void take_state(ShiftConv& conv, const ort::Tensor& x, const ort::Tensor& state) {
    const ort::Shape expected = {conv.images, conv.fold, x.shape[2], x.shape[3]};
    ort::require(state.shape == expected, "state must be (images, fold, height, width)");
    conv.state = state.data;
  }

  // The first `fold` channels of x, in plain layout.
  static void keep_state(const ShiftConv& conv, float* next_state) {
    for (int64_t image = 0; image < conv.images; ++image) {
      for (int64_t channel = 0; channel < conv.fold; ++channel) {
        const float* x =
            conv.x + (image * conv.inputs + channel - channel % conv.block) * conv.pixels + channel % conv.block;
        for (int64_t pixel = 0; pixel < conv.pixels; ++pixel) *next_state++ = x[pixel * conv.block];
      }
    }
  }

 private:
  // The list of runs of an image stands on a thread's stack.
  static constexpr int64_t kMaxChannels = 1 << 16;
};

}  // namespace edgevid
