// A few vectors of pixels walk through the frames of their clip. The frames under the filter stay in
// registers, so that each element is read once and written once.

#include "temporal_conv.h"

#include "../ort/values.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Floats of one item in one frame: 16 KB, few enough for many threads, many enough for the prefetcher.
constexpr int64_t kTile = 4096;

// Elements whose weights are laid out one by one: with three taps they fill a quarter of the first cache.
constexpr int64_t kElements = 512;

// From this size on the output would push itself out of the last-level cache before it is read again.
constexpr int64_t kBytesPastCaches = int64_t{8} << 20;

// Frames that are walked through before the next vectors, where reading some of them twice costs little. As
// planes are often whole pages, all frames of x and y fall on the same few sets of the first cache.
constexpr int64_t kFramesInCaches = 4;

// Vectors that walk together: whole cache lines, and for three taps no more registers than there are.
constexpr int kVectors = kLanes == 8 ? 2 : 4;

// A range of floats of one frame that share their filters, as it stands in the first frame.
struct Column {
  const float* x;
  float* y;
  const float* state;
  float* next_state;
  int64_t size;
  int64_t stride;  // to the next frame
  int64_t frames;
  int64_t first, last;  // the frames of y to compute: [first, last)
  int past;
};

// The frame of the clip, or of the state before it; null for one that is not there.
inline const float* frame_at(const Column& column, int64_t frame) {
  if (frame >= 0) return frame < column.frames ? column.x + frame * column.stride : nullptr;
  return column.state ? column.state + (frame + column.past) * column.stride : nullptr;
}

// Calls `run` for each part of the frames that is to be walked through at once.
template <class Run>
void for_parts(Column column, bool past_caches, const Run& run) {
  const int64_t step = past_caches ? column.frames : kFramesInCaches;
  for (column.first = 0; column.first < column.frames; column.first = column.last) {
    column.last = column.first + step < column.frames ? column.first + step : column.frames;
    run(column);
  }
}

// A vector covers `Patterns`-th parts of the channel block, or one part that repeats.
template <class Value, int Taps, int Patterns>
struct Filter {
  Value weights[Taps][Patterns];
  Value bias[Patterns];
  Value low;
  Value high;
};

// The values of the channels that stand under a vector, `step` floats apart from channel to channel.
template <class Value>
Value of_lanes(const float* values, int64_t step, int64_t block, int64_t first_lane) {
  if (block == 1) return splat_as<Value>(*values);
  float lanes[kLanesOf<Value>];
  for (int lane = 0; lane < kLanesOf<Value>; ++lane) lanes[lane] = values[(first_lane + lane) % block * step];
  return load_as<Value>(lanes);
}

template <class Value, int Taps, int Patterns>
Filter<Value, Taps, Patterns> filter_of(const TemporalConv& conv, int64_t channel, int64_t first_lane) {
  Filter<Value, Taps, Patterns> filter;
  for (int pattern = 0; pattern < Patterns; ++pattern) {
    const int64_t lane = first_lane + pattern * kLanesOf<Value>;
    for (int tap = 0; tap < Taps; ++tap) {
      filter.weights[tap][pattern] = of_lanes<Value>(conv.weights + channel * Taps + tap, Taps, conv.block, lane);
    }
    filter.bias[pattern] = conv.bias ? of_lanes<Value>(conv.bias + channel, 1, conv.block, lane) : Value{};
  }
  filter.low = splat_as<Value>(conv.low);
  filter.high = splat_as<Value>(conv.high);
  return filter;
}

template <bool PastCaches, int Vectors, class Value, int Taps, int Patterns>
inline void walk(const Column& column, const Filter<Value, Taps, Patterns>& filter, int64_t at) {
  constexpr int lanes = kLanesOf<Value>;
  const int future = Taps - 1 - column.past;
  Value window[Taps][Vectors] = {};
  for (int tap = 0; tap < Taps - 1; ++tap) {
    const float* from = frame_at(column, column.first + tap - column.past);
    if (!from) continue;
    for (int v = 0; v < Vectors; ++v) window[tap][v] = load_as<Value>(from + at + v * lanes);
  }
  int64_t incoming = (column.first + future) * column.stride + at;
  int64_t present = column.first * column.stride + at;
  for (int64_t frame = column.first; frame < column.last; ++frame) {
    const bool exists = frame + future < column.frames;
    for (int v = 0; v < Vectors; ++v) {
      window[Taps - 1][v] = exists ? load_as<Value>(column.x + incoming + v * lanes) : Value{};
      Value sum = filter.bias[v % Patterns];
      for (int tap = 0; tap < Taps; ++tap) sum += filter.weights[tap][v % Patterns] * window[tap][v];
      sum = clip(sum, filter.low, filter.high);
      if constexpr (PastCaches) {
        store_past_caches(column.y + present + v * lanes, sum);
      } else {
        store_as(column.y + present + v * lanes, sum);
      }
      for (int tap = 0; tap < Taps - 1; ++tap) window[tap][v] = window[tap + 1][v];
    }
    incoming += column.stride;
    present += column.stride;
  }
  if (!column.next_state || column.last < column.frames) return;
  for (int tap = 0; tap < Taps - 1; ++tap) {
    if (tap >= column.past) break;  // an index that is not constant would keep the window out of registers
    for (int v = 0; v < Vectors; ++v) {
      store_as(column.next_state + tap * column.stride + at + v * lanes, window[tap][v]);
    }
  }
}

template <int Taps, int Patterns>
void run_column(const TemporalConv& conv, const Column& whole, int64_t channel, bool past_caches) {
  constexpr int64_t step = kVectors * kLanes;
  constexpr int64_t least = Patterns * kLanes;
  const auto filter = filter_of<Vector, Taps, Patterns>(conv, channel, 0);
  for_parts(whole, past_caches, [&](const Column& column) {
    int64_t at = 0;
    if (past_caches) {
      for (; at + step <= column.size; at += step) walk<true, kVectors>(column, filter, at);
    }
    for (; at + step <= column.size; at += step) walk<false, kVectors>(column, filter, at);
    for (; at + least <= column.size; at += least) walk<false, Patterns>(column, filter, at);
    if (at < column.size && column.size >= least) {
      // The same values again for some elements; a column is a multiple of the block, so the lanes still fit.
      walk<false, Patterns>(column, filter, column.size - least);
      return;
    }
    for (; at < column.size; ++at) {
      walk<false, 1>(column, filter_of<float, Taps, 1>(conv, channel, at), at);
    }
  });
}

// Longer filters than fit into the registers read the frames once for each tap.
constexpr int64_t kMostTaps = 7;

template <class Value>
inline void sum_of_taps(const TemporalConv& conv, const Column& column, int64_t channel, int64_t frame, int64_t at) {
  Value sum = conv.bias ? of_lanes<Value>(conv.bias + channel, 1, conv.block, at) : Value{};
  for (int64_t tap = 0; tap < conv.taps; ++tap) {
    const float* from = frame_at(column, frame + tap - column.past);
    if (!from) continue;
    const float* weights = conv.weights + channel * conv.taps + tap;
    sum += of_lanes<Value>(weights, conv.taps, conv.block, at) * load_as<Value>(from + at);
  }
  sum = clip(sum, splat_as<Value>(conv.low), splat_as<Value>(conv.high));
  store_as(column.y + frame * column.stride + at, sum);
}

void run_long_filter(const TemporalConv& conv, const Column& column, int64_t channel, bool) {
  for (int64_t frame = 0; frame < column.frames; ++frame) {
    int64_t at = 0;
    for (; at + kLanes <= column.size; at += kLanes) sum_of_taps<Vector>(conv, column, channel, frame, at);
    for (; at < column.size; ++at) sum_of_taps<float>(conv, column, channel, frame, at);
  }
  if (!column.next_state) return;
  for (int64_t kept = 0; kept < column.past; ++kept) {
    const float* from = frame_at(column, column.frames - column.past + kept);
    float* to = column.next_state + kept * column.stride;
    for (int64_t at = 0; at < column.size; ++at) to[at] = from ? from[at] : 0.0f;
  }
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
void run_across_channels(const TemporalConv& conv, const Column& whole, int64_t place, bool past_caches) {
  constexpr int64_t step = kVectors * kLanes;
  for (int64_t begin = 0; begin < whole.size; begin += kElements) {
    const int64_t end = begin + kElements < whole.size ? begin + kElements : whole.size;
    const ElementFilters<Taps> filters(conv, place + begin, end - begin);
    for_parts(whole, past_caches, [&](const Column& column) {
      int64_t at = begin;
      if (past_caches) {
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
using RunColumn = void (*)(const TemporalConv&, const Column&, int64_t place, bool past_caches);

template <int Taps>
RunColumn choose(const TemporalConv& conv) {
  if (crosses_channels(conv)) return run_across_channels<Taps>;
  if (conv.block <= kLanes) return run_column<Taps, 1>;
  if (conv.block == 2 * kLanes) return run_column<Taps, 2>;
  return run_column<Taps, 4>;
}

RunColumn choose_for_taps(const TemporalConv& conv) {
  switch (conv.taps) {
    case 1: return choose<1>(conv);
    case 3: return choose<3>(conv);
    case 5: return choose<5>(conv);
    case kMostTaps: return choose<kMostTaps>(conv);
    default: return run_long_filter;
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

// Only where every vector of every column is aligned.
bool goes_past_caches(const TemporalConv& conv) {
  const int64_t elements = conv.batch * conv.frames * conv.channels * conv.pixels;
  return elements * int64_t{sizeof(float)} >= kBytesPastCaches && cut(conv).size % kLanes == 0 &&
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
  const bool past_caches = goes_past_caches(conv);
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
    run_one(conv, column, crosses_channels(conv) ? start : group * conv.block, past_caches);
  }
  if (past_caches) finish_stores_past_caches();
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
