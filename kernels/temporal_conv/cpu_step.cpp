// A step of a stream in blocks. Its states are tensors of the network, in plain layout: a tile of them is brought
// into blocks, and what follows out of them.
#include "../common/ort/transpose.h"
#include "temporal_conv.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Pixels of a block that are done at a time. Their states stand on a thread's stack.
constexpr int64_t kPixels = 64;
constexpr int64_t kMaxBlock = 16, kMaxPast = 6;

int64_t tiles_of(const TemporalConv& conv) { return ceil_div(conv.pixels, kPixels); }

void run_tile(const TemporalConv& conv, int64_t block, int64_t pixel) {
  const int64_t pixels = minimum(conv.pixels - pixel, kPixels);
  const int64_t blocks = conv.channels / conv.block, channel = block % blocks * conv.block;
  const int64_t frame = conv.channels * conv.pixels;
  const int64_t in_plain = block / blocks * conv.past * frame + channel * conv.pixels + pixel;
  const int64_t in_blocks = (block * conv.pixels + pixel) * conv.block;
  const float* state = conv.state + in_plain;
  float* next_state = conv.next_state + in_plain;
  float history[kMaxPast * kPixels * kMaxBlock];
  for (int64_t i = 0; i < conv.past; ++i) {
    float* target = history + i * pixels * conv.block;
    transpose(target, conv.block, state + i * frame, conv.pixels, conv.block, pixels);
  }
  TemporalConv tile = conv;
  tile.batch = 1;
  tile.channels = conv.block;
  tile.pixels = pixels;
  tile.x = conv.x + in_blocks;
  tile.y = conv.y + in_blocks;
  tile.weights = conv.weights + channel * conv.taps;
  tile.bias = conv.bias ? conv.bias + channel : nullptr;
  tile.state = history;
  tile.next_state = nullptr;
  run(tile, 0, 1);
  for (int64_t i = 0; i + 1 < conv.past; ++i) {
    for (int64_t lane = 0; lane < conv.block; ++lane) {
      const int64_t row = i * frame + lane * conv.pixels;
      __builtin_memcpy(next_state + row, state + row + frame, static_cast<uint64_t>(pixels) * sizeof(float));
    }
  }
  transpose(next_state + (conv.past - 1) * frame, conv.pixels, tile.x, conv.block, pixels, conv.block);
}

}  // namespace

const char* why_no_step(const TemporalConv& conv) {
  if (const char* reason = why_not(conv)) return reason;
  if (conv.past < 1 || conv.past > kMaxPast) return "a step in blocks has 3, 5 or 7 taps";
  return nullptr;
}

int64_t step_items(const TemporalConv& conv) { return conv.batch * conv.channels / conv.block * tiles_of(conv); }

void run_step(const TemporalConv& conv, int64_t begin, int64_t end) {
  const int64_t tiles = tiles_of(conv);
  for (int64_t item = begin; item < end; ++item) run_tile(conv, item / tiles, item % tiles * kPixels);
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
