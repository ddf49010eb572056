// The inner loop of the blocked layout: a tile of pixels times output blocks stays in registers over all input
// channels. An input channel of a pixel is one broadcast, so it costs nothing to read it from another frame.
// cpu_tile.cpp compiles it once for all ops.
#pragma once

#include "../common/ort/vector.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {

// Input channels [channel, channel + count) that lie together. `x` is that of pixel 0. `planar`: the pixels of
// a channel are adjacent and channels are `stride` apart; otherwise the channels of a pixel are adjacent.
struct Run {
  const float* x;
  int64_t channel, count;
  bool planar;
};

struct Tile {
  const Run* runs;
  int64_t run_count;
  int64_t planar_stride;
  int64_t pixel;           // the first of the tile
  const float* weights;    // of the first output block
  int64_t weights_stride;  // from one output block to the next
  const float* bias;       // or null
  const float* residual;   // or null; where y is, like it
  float* y;                // pixel 0 of the first output block
  int64_t y_stride;        // from one output block to the next
  float low, high;
  float slope = 1;  // of what is below zero, at most 1
};

// Each weight is used once for each pixel of the tile, each input once for each of its vectors of outputs.
template <int kVectors>
constexpr int max_tile_pixels() {
  constexpr int fit = (kRegisters - 1 - kVectors) / kVectors;
  return fit < 14 ? fit : 14;
}

// Two output blocks where the registers have room for a good tile, else one.
template <int kBlock>
constexpr int max_tile_blocks() {
  return kBlock == kLanes ? 2 : 1;
}

// Pixels [first, last) of `blocks` output blocks, 1 or max_tile_blocks, of `block` channels.
void run_tiles(const Tile& tile, int64_t block, int64_t blocks, int64_t first, int64_t last);

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
