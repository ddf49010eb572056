// Where a shift lets a convolution read its input channels, in the blocked layout.
#pragma once

#include "shift_conv.h"
#include "tile.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Appends channels [begin, end) of an image, in runs that do not cross a block; the first channel of the image meets
// the weights of input `input`.
template <int kBlock>
int64_t append_runs(const ShiftConv& conv, int64_t image, int64_t begin, int64_t end, Run* runs, int64_t input = 0) {
  const int64_t all = conv.taps == 0 ? conv.inputs : conv.inputs / conv.taps;
  int64_t count = 0;
  while (begin < end) {
    const int64_t within = begin % kBlock, channels = minimum(kBlock - within, end - begin);
    const float* block = conv.x + (image * all + begin - within) * conv.pixels;
    runs[count++] = {block + within, input + begin, channels, false};
    begin += channels;
  }
  return count;
}

// At most one run more for each of the three ranges than there are blocks.
inline int64_t most_runs(int64_t inputs, int64_t block) { return inputs / block + 4; }

template <int kBlock>
int64_t find_stacked_runs(const ShiftConv& conv, int64_t image, Run* runs) {
  const int64_t channels = conv.inputs / conv.taps;
  int64_t count = 0;
  for (int64_t tap = 0; tap < conv.taps; ++tap) {
    const int64_t offset = conv.first + tap * conv.dilation, frame = image % conv.frames + offset;
    if (frame < 0 || frame >= conv.frames) continue;
    count += append_runs<kBlock>(conv, image + offset, 0, channels, runs + count, tap * channels);
  }
  return count;
}

// Where the input channels of an image are read. A frame beyond the clip is zeros and has no run.
template <int kBlock>
int64_t find_runs(const ShiftConv& conv, int64_t image, Run* runs) {
  if (conv.taps != 0) return find_stacked_runs<kBlock>(conv, image, runs);
  int64_t count = 0, channel = 0;
  if (conv.state != nullptr) {
    runs[count++] = {conv.state + image * conv.fold * conv.pixels, 0, conv.fold, true};
    channel = conv.fold;
  } else {
    const int64_t offsets[] = {conv.first, conv.second};
    for (const int64_t offset : offsets) {
      const int64_t frame = image % conv.frames + offset, end = minimum(channel + conv.fold, conv.inputs);
      if (0 <= frame && frame < conv.frames) {
        count += append_runs<kBlock>(conv, image + offset, channel, end, runs + count);
      }
      channel = end;
    }
  }
  return count + append_runs<kBlock>(conv, image, channel, conv.inputs, runs + count);
}

}  // namespace
}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
