// Temporal shift and the 1x1 convolution after it, in one pass. See README.md.
#pragma once

#include <cstdint>

#include "../common/ort/isa.h"

namespace edgevid {

struct ShiftConv {
  // Shapes. Images are frames of clips, one clip after the other; `outputs` includes padding.
  int64_t images, frames, inputs, outputs, pixels;
  // Channels a block holds in x, weights, residual and y: 1 is plain NCHW.
  int64_t block;
  // Channels [0, fold) come from frame t + first, [fold, 2 * fold) from t + second, the others stay.
  int64_t fold, first, second;
  // If not 0, the channels are those of `taps` frames, t + first and each `dilation` further, concatenated: x has
  // inputs / taps channels, and the fold is not used. Blocked layout only.
  int64_t taps, dilation;
  // The activation: what is below zero is multiplied by `slope`, at most 1, and the result is clamped to [low, high].
  float low, high;
  float slope = 1;

  const float* x;
  // (outputs / block, inputs / block, block in, block out)
  const float* weights;
  const float* bias;      // or null
  const float* residual;  // or null; added before the clamp
  // (images, fold, pixels), in plain layout whatever the block: the shifted channels, when they do not come
  // from another image of x. Then `first` is ignored.
  const float* state;
  float* y;
};

// The work is cut into pieces that any thread may do in any order: some pixels of an image, times some output
// blocks.
struct ShiftConvPieces {
  int64_t pixels, blocks;  // of a piece
  int64_t count;
};

EDGEVID_DECLARE_FOR_EACH_ISA(ShiftConvPieces cut_blocked_conv(const ShiftConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run_blocked_conv(const ShiftConv&, const ShiftConvPieces&, int64_t piece))
EDGEVID_DECLARE_FOR_EACH_ISA(ShiftConvPieces cut_plain_conv(const ShiftConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run_plain_conv(const ShiftConv&, const ShiftConvPieces&, int64_t piece))

}  // namespace edgevid
