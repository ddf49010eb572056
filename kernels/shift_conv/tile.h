// The inner loop of the blocked layout: a tile of pixels times output blocks stays in registers over all input
// channels. An input channel of a pixel is one broadcast, so it costs nothing to read it from another frame.
#pragma once

#include "../common/ort/vector.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

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

template <int kBlock, int kBlocks, int kPixels>
void run_tile(const Tile& tile) {
  constexpr int kVectorsPerBlock = kBlock / kLanes;
  constexpr int kVectors = kBlocks * kVectorsPerBlock;
  const auto offset = [](int vector, int64_t stride) {
    return vector / kVectorsPerBlock * stride + vector % kVectorsPerBlock * kLanes;
  };
  Vector sum[kPixels][kVectors];
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    const Vector bias = tile.bias == nullptr ? Vector{} : load(tile.bias + v * kLanes);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) sum[p][v] = bias;
  }
  for (int64_t r = 0; r < tile.run_count; ++r) {
    const Run& run = tile.runs[r];
    const float* weights = tile.weights + run.channel * kBlock;
    if (run.planar) {
      const float* x = run.x + tile.pixel;
      for (int64_t c = 0; c < run.count; ++c, weights += kBlock, x += tile.planar_stride) {
        Vector w[kVectors];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) w[v] = load(weights + offset(v, tile.weights_stride));
#pragma GCC unroll 16
        for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 16
          for (int v = 0; v < kVectors; ++v) sum[p][v] += w[v] * splat(x[p]);
        }
      }
      continue;
    }
    const float* x = run.x + tile.pixel * kBlock;
    // The same channels of the next tile, and the next channels of this one: the rows of an image lie a multiple
    // of 4096 bytes apart more often than not, where the processor's own prefetcher stops.
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) __builtin_prefetch(x + (kPixels + p) * kBlock, 0, 2);
    if (r + 1 < tile.run_count) {
      const float* next = tile.runs[r + 1].x + tile.pixel * kBlock;
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) __builtin_prefetch(next + p * kBlock, 0, 3);
    }
    for (int64_t c = 0; c < run.count; ++c, weights += kBlock, ++x) {
      Vector w[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) w[v] = load(weights + offset(v, tile.weights_stride));
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sum[p][v] += w[v] * splat(x[p * kBlock]);
      }
    }
  }
  const Vector low = splat(tile.low), high = splat(tile.high);
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = offset(v, tile.y_stride) + (tile.pixel + p) * kBlock;
      Vector total = sum[p][v];
      if (tile.residual != nullptr) total += load(tile.residual + at);
      if (tile.slope != 1) total = larger(total, splat(tile.slope) * total);
      store(tile.y + at, smaller(larger(total, low), high));
    }
  }
}

template <int kBlock, int kBlocks, int kPixels>
void run_tile_of(int64_t pixels, const Tile& tile) {
  if (pixels == kPixels) return run_tile<kBlock, kBlocks, kPixels>(tile);
  if constexpr (kPixels > 1) run_tile_of<kBlock, kBlocks, kPixels - 1>(pixels, tile);
}

// Pixels [first, last) in tiles of nearly equal size, so that none is left with a pixel or two.
template <int kBlock, int kBlocks>
void run_tiles(Tile tile, int64_t first, int64_t last) {
  constexpr int kMax = max_tile_pixels<kBlocks * kBlock / kLanes>();
  int64_t tiles = ceil_div(last - first, kMax);
  for (tile.pixel = first; tiles > 0; --tiles) {
    const int64_t pixels = ceil_div(last - tile.pixel, tiles);
    run_tile_of<kBlock, kBlocks, kMax>(pixels, tile);
    tile.pixel += pixels;
  }
}

}  // namespace
}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
