// Channel-wise convolution over the frames of a clip: one filter of a few taps per channel.

#pragma once

#include <cstdint>
#include <limits>

namespace edgevid::temporal_conv {

constexpr int64_t kMaxTaps = 7;

// Float tensors without gaps. `pixels` is H*W. With `block` 1 a frame is (channels, pixels); with 8 or 16 it
// is (channels/block, pixels, block), and `channels` counts those that pad the last block too.
struct Params {
  int64_t batch = 1;
  int64_t frames = 1;
  int64_t channels = 1;
  int64_t pixels = 1;
  int64_t block = 1;
  int64_t taps = 3;  // odd
  int64_t past = 1;  // how many taps lie before the present frame: (taps-1)/2 is centred, taps-1 is causal

  const float* x = nullptr;       // (batch*frames, channels, pixels)
  const float* weight = nullptr;  // (channels, taps), the first tap on the oldest frame
  const float* bias = nullptr;    // (channels), or null for none
  float* y = nullptr;             // as x; must not overlap it

  // The `past` frames before the clip: (batch, past, channels, pixels), or null for zeros.
  const float* state = nullptr;
  // The last `past` frames of state and clip together, or null if not wanted; must not overlap `state`.
  float* next_state = nullptr;

  // The activation: -inf, inf is none; 0, inf is ReLU; 0, 6 is ReLU6.
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// In the namespace of an instruction set (cpu.cpp is compiled once for each; NEON is arm64's generic one):
// - why_not: a sentence if these params cannot be run, else null; the pointers are not looked at;
// - work_items: how many pieces the work has; each writes elements of its own, in any order, on any thread;
// - run: the pieces [begin, end).
#define EDGEVID_TEMPORAL_CONV(isa)                                \
  namespace isa {                                                 \
  const char* why_not(const Params& params);                      \
  int64_t work_items(const Params& params);                       \
  void run(const Params& params, int64_t begin, int64_t end);     \
  }

EDGEVID_TEMPORAL_CONV(generic)
EDGEVID_TEMPORAL_CONV(avx2)
EDGEVID_TEMPORAL_CONV(avx512)

#undef EDGEVID_TEMPORAL_CONV

}  // namespace edgevid::temporal_conv
