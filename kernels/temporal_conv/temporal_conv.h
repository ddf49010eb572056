// Channel-wise convolution over the frames of a clip: one filter of a few taps per channel. See README.md.
#pragma once

#include <cstdint>
#include <limits>

#include "../common/ort/isa.h"

namespace edgevid {

// Float tensors without gaps. `pixels` is H*W. With `block` 1 a frame is (channels, pixels); with 8 or 16 it
// is (channels/block, pixels, block), and `channels` counts those that pad the last block too.
struct TemporalConv {
  int64_t batch = 1, frames = 1, channels = 1, pixels = 1;
  int64_t block = 1;
  int64_t taps = 3;  // odd; up to 7 every element is read once
  int64_t past = 1;  // how many taps lie before the present frame: (taps-1)/2 is centered, taps-1 is causal

  const float* x = nullptr;        // (batch*frames, channels, pixels)
  const float* weights = nullptr;  // (channels, taps), the first tap for the oldest frame
  const float* bias = nullptr;     // (channels), or null
  float* y = nullptr;              // like x; must not overlap it

  // The `past` frames before the clip, (batch, past, channels, pixels) in the layout of x; null is zeros.
  const float* state = nullptr;
  // The last `past` frames of state and clip together, or null if not needed; must not overlap `state`.
  float* next_state = nullptr;

  // The result is clamped to [low, high]: the activation.
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// A sentence if a convolution of these shapes cannot be run, else null; the pointers are not looked at.
EDGEVID_DECLARE_FOR_EACH_ISA(const char* why_not(const TemporalConv&))

// The work is cut into pieces that any thread may do in any order; `run` does [begin, end) of them.
EDGEVID_DECLARE_FOR_EACH_ISA(int64_t work_items(const TemporalConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run(const TemporalConv&, int64_t begin, int64_t end))

// The same for a step of a stream in blocks (frames 1, past taps-1) whose states are in plain layout.
EDGEVID_DECLARE_FOR_EACH_ISA(const char* why_no_step(const TemporalConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(int64_t step_items(const TemporalConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run_step(const TemporalConv&, int64_t begin, int64_t end))

}  // namespace edgevid
