// A few vectors of pixels walk through the frames of their clip. The frames under the filter stay in
// registers, so that each element is read once and written once.

#include "long_filter.h"
#include "temporal_conv.h"
#include "walk.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Floats of one item in one frame: 16 KB, few enough for many threads, many enough for the prefetcher.
constexpr int64_t kTile = 4096;

// Elements with expanded weights: with three taps they fill a quarter of L1.
constexpr int64_t kElements = 512;

// From this size on the output would be evicted from the last-level cache before it is read.
constexpr int64_t kNonTemporalBytes = int64_t{8} << 20;

// Vectors processed together: whole cache lines, and for three taps no more than the registers.
constexpr int kVectors = kLanes == 8 ? 2 : 4;

// The elements from `at` on one by one. Not inlined: they are few, and every pattern shares the code.
template <int Taps>
__attribute__((noinline)) void run_elements(const TemporalConv& conv, const Column& column, int64_t channel,
                                            int64_t at) {
  for (; at < column.size; ++at) {
    walk<false, 1>(column, filter_of<float, Taps, 1>(conv, channel, at), at);
  }
}

template <int Taps, int Patterns>
void run_column(const TemporalConv& conv, const Column& whole, int64_t channel, bool non_temporal) {
  constexpr int64_t step = kVectors * kLanes;
  constexpr int64_t least = Patterns * kLanes;
  const auto filter = filter_of<Vector, Taps, Patterns>(conv, channel, 0);
  for_parts(whole, non_temporal, [&](const Column& column) {
    int64_t at = 0;
    if (non_temporal) {
      for (; at + step <= column.size; at += step) walk<true, kVectors>(column, filter, at);
    }
    for (; at + step <= column.size; at += step) walk<false, kVectors>(column, filter, at);
    for (; at + least <= column.size; at += least) walk<false, Patterns>(column, filter, at);
    if (at < column.size && column.size >= least) {
      // The same values again for some elements; a column is a multiple of the block, so the lanes still fit.
      walk<false, Patterns>(column, filter, column.size - least);
      return;
    }
    run_elements<Taps>(conv, column, channel, at);
  });
}

// Whether vectors are laid over the borders of channels. In planes that are not whole vectors they would lie
// across cache lines, which takes longer than the arithmetic; a few frames do not repay laying out the weights.
bool crosses_channels(const TemporalConv& conv) {
  return conv.block == 1 && conv.taps <= kMostTaps && conv.pixels % kLanes != 0 &&
         (conv.frames >= 4 || conv.pixels < kLanes);
}

// The weights and biases of some elements of a frame in plain layout, each element with its own.
template <int Taps>
class ElementFilters {
 public:
  // Of the elements [first, first + size) of a frame, size at most kElements.
  ElementFilters(const TemporalConv& conv, int64_t first, int64_t size) : low_(conv.low), high_(conv.high) {
    int64_t channel = first / conv.pixels;
    for (int64_t at = 0; at < size; ++channel) {
      const int64_t border = (channel + 1) * conv.pixels - first;
      const int64_t end = border < size ? border : size;
      for (int tap = 0; tap < Taps; ++tap) fill(weights_[tap], at, end, conv.weights[channel * Taps + tap]);
      fill(bias_, at, end, conv.bias ? conv.bias[channel] : 0.0f);
      at = end;
    }
  }

  template <class Value, int Vectors>
  Filter<Value, Taps, Vectors> at(int64_t element) const {
    Filter<Value, Taps, Vectors> filter;
    for (int v = 0; v < Vectors; ++v) {
      const int64_t from = element + v * kLanesOf<Value>;
      for (int tap = 0; tap < Taps; ++tap) filter.weights[tap][v] = load_as<Value>(weights_[tap] + from);
      filter.bias[v] = load_as<Value>(bias_ + from);
    }
    filter.low = splat_as<Value>(low_);
    filter.high = splat_as<Value>(high_);
    return filter;
  }

 private:
  // Whole vectors: what goes beyond `end` is filled again by the next channel.
  static void fill(float* values, int64_t begin, int64_t end, float value) {
    for (; begin < end; begin += kLanes) store_as(values + begin, splat_as<Vector>(value));
  }

  float weights_[Taps][kElements + kLanes];
  float bias_[kElements + kLanes];
  float low_, high_;
};

// `place` is that of the column in its frame.
template <int Taps>
void run_across_channels(const TemporalConv& conv, const Column& whole, int64_t place, bool non_temporal) {
  constexpr int64_t step = kVectors * kLanes;
  for (int64_t begin = 0; begin < whole.size; begin += kElements) {
    const int64_t end = begin + kElements < whole.size ? begin + kElements : whole.size;
    const ElementFilters<Taps> filters(conv, place + begin, end - begin);
    for_parts(whole, non_temporal, [&](const Column& column) {
      int64_t at = begin;
      if (non_temporal) {
        for (; at + step <= end; at += step) {
          walk<true, kVectors>(column, filters.template at<Vector, kVectors>(at - begin), at);
        }
      }
      for (; at + step <= end; at += step) {
        walk<false, kVectors>(column, filters.template at<Vector, kVectors>(at - begin), at);
      }
      for (; at + kLanes <= end; at += kLanes) {
        walk<false, 1>(column, filters.template at<Vector, 1>(at - begin), at);
      }
      for (; at < end; ++at) walk<false, 1>(column, filters.template at<float, 1>(at - begin), at);
    });
  }
}

// `place` is the first channel of the column, or its place in the frame if it crosses channels.
using RunColumn = void (*)(const TemporalConv&, const Column&, int64_t place, bool non_temporal);

template <int Taps>
RunColumn choose(const TemporalConv& conv) {
  if (crosses_channels(conv)) return run_across_channels<Taps>;
  // A block of 16 is at most this many vectors.
  constexpr int patterns = 16 / kLanes;
  if constexpr (patterns >= 4) {
    if (conv.block == 4 * kLanes) return run_column<Taps, 4>;
  }
  if constexpr (patterns >= 2) {
    if (conv.block == 2 * kLanes) return run_column<Taps, 2>;
  }
  return run_column<Taps, 1>;
}

RunColumn choose_for_taps(const TemporalConv& conv) {
  switch (conv.taps) {
    case 1:
      return choose<1>(conv);
    case 3:
      return choose<3>(conv);
    case 5:
      return choose<5>(conv);
    case kMostTaps:
      return choose<kMostTaps>(conv);
    default:
      return run_long_filter;
  }
}

// A frame is `groups` of `size` floats that share a filter, or one whose columns cross channels; each is cut
// into tiles, and a tile of one clip is an item of work.
struct Cut {
  int64_t groups, size, tile, tiles;
};

Cut cut(const TemporalConv& conv) {
  const bool across = crosses_channels(conv);
  const int64_t group_channels = across ? conv.channels : conv.block;
  const int64_t size = group_channels * conv.pixels;
  const int64_t tile = across ? kElements * 4 : kTile;
  return {conv.channels / group_channels, size, tile, (size + tile - 1) / tile};
}

// Only if every vector of every column is aligned.
bool uses_non_temporal_stores(const TemporalConv& conv) {
  const int64_t elements = conv.batch * conv.frames * conv.channels * conv.pixels;
  return elements * int64_t{sizeof(float)} >= kNonTemporalBytes && cut(conv).size % kLanes == 0 &&
         reinterpret_cast<uintptr_t>(conv.y) % sizeof(Vector) == 0;
}

}  // namespace

const char* why_not(const TemporalConv& conv) {
  if (conv.taps < 1 || conv.taps % 2 == 0) return "taps must be odd";
  if (conv.past < 0 || conv.past >= conv.taps) return "past must be from 0 to taps - 1";
  if (conv.block != 1 && conv.block != 8 && conv.block != 16) return "block must be 1, 8 or 16";
  if (conv.channels % conv.block) return "channels must be a multiple of block";
  return nullptr;
}

int64_t work_items(const TemporalConv& conv) {
  const Cut pieces = cut(conv);
  return conv.batch * pieces.groups * pieces.tiles;
}

void run(const TemporalConv& conv, int64_t begin, int64_t end) {
  const RunColumn run_one = choose_for_taps(conv);
  const bool non_temporal = uses_non_temporal_stores(conv);
  const Cut pieces = cut(conv);
  const int64_t frame_size = conv.channels * conv.pixels;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t start = item % pieces.tiles * pieces.tile;
    const int64_t group = item / pieces.tiles % pieces.groups;
    const int64_t clip = item / pieces.tiles / pieces.groups;
    const int64_t in_frame = group * pieces.size + start;
    const int64_t in_clip = clip * conv.frames * frame_size + in_frame;
    const int64_t in_state = clip * conv.past * frame_size + in_frame;
    Column column{};
    column.x = conv.x + in_clip;
    column.y = conv.y + in_clip;
    column.state = conv.state ? conv.state + in_state : nullptr;
    column.next_state = conv.next_state ? conv.next_state + in_state : nullptr;
    column.size = pieces.size - start < pieces.tile ? pieces.size - start : pieces.tile;
    column.stride = frame_size;
    column.frames = conv.frames;
    column.past = static_cast<int>(conv.past);
    run_one(conv, column, crosses_channels(conv) ? start : group * conv.block, non_temporal);
  }
  if (non_temporal) finish_non_temporal_stores();
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
