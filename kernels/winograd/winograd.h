// A 3x3 convolution with stride 1 by Winograd's minimal filtering F(4x4, 3x3). See README.md.
#pragma once

#include <cstdint>

#include "../common/ort/isa.h"

namespace edgevid {

// A tile of kTileIn x kTileIn inputs gives kTileOut x kTileOut outputs, by kPoints multiplications for each pair of
// channels instead of 9 * kTileOut * kTileOut.
constexpr int kTileOut = 4, kTileIn = 6, kPoints = kTileIn * kTileIn;

struct WinogradConv {
  int64_t images, inputs, outputs, height, width;
  // Channels a block holds in x, weights, residual and y: 8 or 16.
  int64_t block;
  // The activation: what is below zero is multiplied by `slope`, at most 1, and the result is clamped to [low, high].
  float low, high;
  float slope = 1;

  const float* x;
  // (kPoints, outputs / block, inputs / block, block in, block out): the transformed filters.
  const float* weights;
  const float* bias;      // or null
  const float* residual;  // or null; added before the clamp
  float* y;
};

// The work is cut into pieces that any thread may do in any order: some tiles, times some output blocks.
struct WinogradPieces {
  int64_t tiles, blocks;  // of a piece
  int64_t count;
  int64_t scratch_floats;  // that a piece needs, aligned to 64 bytes
};

EDGEVID_DECLARE_FOR_EACH_ISA(WinogradPieces cut_winograd(const WinogradConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run_winograd(const WinogradConv&, const WinogradPieces&, int64_t piece,
                                               float* scratch))

}  // namespace edgevid
