// A 1x1 convolution, with or without a temporal shift before it, and the depthwise 3x3 convolution that reads it.
// See README.md.
#pragma once

#include "../shift_conv/shift_conv.h"

namespace edgevid {

struct ShiftConvDepthwise {
  // In a blocked layout; its y and residual are not used: its result stays in the cache.
  ShiftConv pointwise;
  int64_t height, width;  // of x
  int64_t stride;         // of the depthwise convolution, 1 or 2; a pixel of zeros stands around its input
  float low, high;        // its result is clamped to [low, high]
  // (outputs / block, 3, 3, block)
  const float* weights;
  const float* bias;
  float* y;

  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
};

// The work is cut into pieces that any thread may do in any order: some rows of y of an image, times some blocks.
struct DepthwisePieces {
  int64_t rows, blocks;  // of a piece
  int64_t count;
  int64_t scratch_floats;  // that a piece needs, aligned to 64 bytes
};

EDGEVID_DECLARE_FOR_EACH_ISA(DepthwisePieces cut_depthwise(const ShiftConvDepthwise&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run_depthwise(const ShiftConvDepthwise&, const DepthwisePieces&, int64_t piece,
                                                float* scratch))

}  // namespace edgevid
