// Convolution along the channel axis: a filter over neighboring channels, the same at every pixel. See
// README.md.
#pragma once

#include <cstdint>
#include <limits>

#include "../common/ort/isa.h"

namespace edgevid {

// Float tensors without gaps. `pixels` is H*W; `outputs_of` channels leave each filter.
struct ChannelConv {
  int64_t batch = 1, channels = 1, pixels = 1;
  int64_t filters = 1, taps = 1, stride = 1;
  int64_t pad_begin = 0, pad_end = 0;  // channels of zeros before the first and after the last
  bool unshared = false;               // every output channel has weights and a bias of its own

  const float* x = nullptr;        // (batch, channels, pixels)
  const float* weights = nullptr;  // (filters, taps); unshared: (filters, taps, outputs)
  const float* bias = nullptr;     // (filters); unshared: (filters, outputs); or null
  float* y = nullptr;              // (batch, filters, outputs, pixels); must not overlap x

  // The result is clamped to [low, high]: the activation.
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// A sentence if a convolution of these shapes cannot be run, else null; the pointers are not looked at.
EDGEVID_DECLARE_FOR_EACH_ISA(const char* why_not(const ChannelConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(int64_t outputs_of(const ChannelConv&))

// The work is cut into pieces that any thread may do in any order; `run` does [begin, end) of them.
EDGEVID_DECLARE_FOR_EACH_ISA(int64_t work_items(const ChannelConv&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run(const ChannelConv&, int64_t begin, int64_t end))

}  // namespace edgevid
