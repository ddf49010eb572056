// A tile of output channels times pixels stays in registers. An input channel is loaded once for all the
// taps that fall on it, which is what makes a long filter as fast as its multiplications.

#include "channel_conv.h"

#include "../common/ort/values.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// A tile's sums (rows times two vectors), the weights of a block of taps and one channel fill the registers.
constexpr int kRows = kRegisters / 4;
constexpr int kTapBlock = kRegisters / 4;

// Dot products at a time: as many chains as hide the latency of two multipliers.
constexpr int kDots = 8;

// For what is left of a row: 7x7 pixels are three vectors of 16 and one pixel.
typedef float HalfVector __attribute__((vector_size(kLanes / 2 * sizeof(float))));

// Output channels of one item. Planes narrower than a vector are walked as one long row, so they need more.
constexpr int64_t kChannels = 8;
constexpr int64_t kChannelsOfNarrowPlanes = 256;
constexpr int64_t kNarrow = 16;

// Some rows of output; all taps of all of them fall on channels that exist.
struct Rows {
  const float* x;  // the channel of the first row's first tap
  float* y;
  const float* weight;
  int64_t weight_step;  // from a tap to the next
  const float* bias;    // null for none
  int64_t taps;
  int64_t stride;
  int64_t plane;   // from a channel to the next, in x and in y
  int64_t length;  // elements in a row
  float low;
  float high;
};

// Whether the elements of a row have one weight per tap, or weights and a bias each.
enum class Weights { kOfRow, kOfElement };

template <Weights weights, class Value>
inline Value weight_at(const float* weight, int64_t element) {
  if constexpr (weights == Weights::kOfRow) return splat_as<Value>(*weight);
  return load_as<Value>(weight + element);
}

// `Stride` 0 is one that is not known when compiling.
template <class Value, int Count, int Vectors, int Stride, Weights weights>
inline void tile(const Rows& rows, int64_t at) {
  constexpr int lanes = kLanesOf<Value>;
  const float* x = rows.x + at;
  const float* weight = rows.weight;
  Value sum[Count][Vectors];
  for (int row = 0; row < Count; ++row) {
    for (int v = 0; v < Vectors; ++v) {
      sum[row][v] = rows.bias ? weight_at<weights, Value>(rows.bias, at + v * lanes) : Value{};
    }
  }
  int64_t tap = 0;
  if constexpr (Count > 1 && Stride > 0) {
    for (; tap + kTapBlock <= rows.taps; tap += kTapBlock) {
      Value of_tap[kTapBlock];
      for (int i = 0; i < kTapBlock; ++i) of_tap[i] = splat_as<Value>(weight[(tap + i) * rows.weight_step]);
#pragma GCC unroll 64
      for (int channel = 0; channel < (Count - 1) * Stride + kTapBlock; ++channel) {
        Value here[Vectors];
        for (int v = 0; v < Vectors; ++v) here[v] = load_as<Value>(x + (tap + channel) * rows.plane + v * lanes);
#pragma GCC unroll 64
        for (int row = 0; row < Count; ++row) {
          const int i = channel - row * Stride;
          if (i < 0 || i >= kTapBlock) continue;
          for (int v = 0; v < Vectors; ++v) sum[row][v] += of_tap[i] * here[v];
        }
      }
    }
  }
  for (; tap < rows.taps; ++tap) {
    for (int row = 0; row < Count; ++row) {
      const float* channel = x + (tap + row * (Stride ? Stride : rows.stride)) * rows.plane;
      for (int v = 0; v < Vectors; ++v) {
        const Value of_tap = weight_at<weights, Value>(weight + tap * rows.weight_step, at + v * lanes);
        sum[row][v] += of_tap * load_as<Value>(channel + v * lanes);
      }
    }
  }
  const Value low = splat_as<Value>(rows.low);
  const Value high = splat_as<Value>(rows.high);
  for (int row = 0; row < Count; ++row) {
    for (int v = 0; v < Vectors; ++v) {
      store_as(rows.y + row * rows.plane + at + v * lanes, clip(sum[row][v], low, high));
    }
  }
}

template <int Count, int Stride, Weights weights = Weights::kOfRow>
void run_rows(const Rows& rows) {
  constexpr int vectors = Count == 1 ? 4 : 2;
  int64_t at = 0;
  for (; at + vectors * kLanes <= rows.length; at += vectors * kLanes) {
    tile<Vector, Count, vectors, Stride, weights>(rows, at);
  }
  for (; at + kLanes <= rows.length; at += kLanes) tile<Vector, Count, 1, Stride, weights>(rows, at);
  constexpr int half = kLanesOf<HalfVector>;
  for (; at + half <= rows.length; at += half) tile<HalfVector, Count, 1, Stride, weights>(rows, at);
  if (at < rows.length && rows.length >= half) {  // the same values again for some elements
    tile<HalfVector, Count, 1, Stride, weights>(rows, rows.length - half);
    return;
  }
  for (; at < rows.length; ++at) tile<float, Count, 1, Stride, weights>(rows, at);
}

// Rows of a single element, whose taps lie behind each other in memory: vectors of taps.
template <int Count>
void run_dots(const Rows& rows) {
  Vector sums[Count] = {};
  int64_t tap = 0;
  for (; tap + kLanes <= rows.taps; tap += kLanes) {
    const Vector weights = load(rows.weight + tap);
    for (int row = 0; row < Count; ++row) sums[row] += weights * load(rows.x + row * rows.stride + tap);
  }
  for (int row = 0; row < Count; ++row) {
    float sum = rows.bias ? *rows.bias : 0.0f;
    for (int64_t left = tap; left < rows.taps; ++left) sum += rows.weight[left] * rows.x[row * rows.stride + left];
    for (int lane = 0; lane < kLanes; ++lane) sum += sums[row][lane];
    rows.y[row] = clip(sum, rows.low, rows.high);
  }
}

void run_tile(const Rows& rows) {
  if (rows.stride == 1) return run_rows<kRows, 1>(rows);
  if (rows.stride == 2) return run_rows<kRows, 2>(rows);
  return run_rows<kRows, 0>(rows);  // too few taps share a channel to gain by it
}

int64_t outputs(const ChannelConv& conv) {
  return (conv.channels + conv.pad_begin + conv.pad_end - conv.taps) / conv.stride + 1;
}

int64_t channels_of_item(const ChannelConv& conv) {
  return conv.pixels < kNarrow ? kChannelsOfNarrowPlanes : kChannels;
}

int64_t items_of_filter(const ChannelConv& conv) {
  return (outputs(conv) + channels_of_item(conv) - 1) / channels_of_item(conv);
}

// One filter on one tensor of (channels, pixels).
class Filter {
 public:
  Filter(const ChannelConv& conv, int64_t batch, int64_t filter)
      : conv_(conv),
        outputs_(outputs(conv)),
        x_(conv.x + batch * conv.channels * conv.pixels),
        y_(conv.y + (batch * conv.filters + filter) * outputs_ * conv.pixels),
        weight_(conv.weights + filter * conv.taps * (conv.unshared ? outputs_ : 1)),
        bias_(conv.bias ? conv.bias + filter * (conv.unshared ? outputs_ : 1) : nullptr) {}

  void run(int64_t begin, int64_t end) const {
    int64_t output = begin;
    while (output < end) {
      int64_t inner_end = output;
      while (inner_end < end && is_inner(inner_end)) ++inner_end;
      if (inner_end > output) {
        run_inner(output, inner_end);
        output = inner_end;
      } else {
        run_rows<1, 0>(rows(output++));
      }
    }
  }

 private:
  int64_t first_channel(int64_t output) const { return output * conv_.stride - conv_.pad_begin; }

  bool is_inner(int64_t output) const {
    const int64_t first = first_channel(output);
    return first >= 0 && first + conv_.taps <= conv_.channels;
  }

  void run_inner(int64_t begin, int64_t end) const {
    const bool narrow = conv_.pixels < kLanes && conv_.stride == 1;
    if (narrow && (!conv_.unshared || conv_.pixels == 1)) {
      // The next output is the next element, on the next channels: one row with the distance of a plane.
      Rows all = rows(begin);
      all.length *= end - begin;
      return conv_.unshared ? run_rows<1, 0, Weights::kOfElement>(all) : run_rows<1, 0>(all);
    }
    int64_t output = begin;
    if (conv_.pixels == 1 && !conv_.unshared) {
      for (; output + kDots <= end; output += kDots) run_dots<kDots>(rows(output));
      for (; output < end; ++output) run_dots<1>(rows(output));
    }
    if (!conv_.unshared) {
      for (; output + kRows <= end; output += kRows) run_tile(rows(output));
    }
    for (; output < end; ++output) run_rows<1, 0>(rows(output));
  }

  // From `output` on, with the taps of that output that fall on channels that exist.
  Rows rows(int64_t output) const {
    const int64_t first = first_channel(output);
    const int64_t skipped = first < 0 ? -first : 0;
    const int64_t last = first + conv_.taps < conv_.channels ? first + conv_.taps : conv_.channels;
    const int64_t of_output = conv_.unshared ? output : 0;
    Rows rows;
    rows.weight_step = conv_.unshared ? outputs_ : 1;
    rows.taps = last - first - skipped;
    // A filter that lies wholly on padding has no channel to begin at.
    rows.x = rows.taps > 0 ? x_ + (first + skipped) * conv_.pixels : x_;
    rows.y = y_ + output * conv_.pixels;
    rows.weight = rows.taps > 0 ? weight_ + skipped * rows.weight_step + of_output : weight_;
    rows.bias = bias_ ? bias_ + of_output : nullptr;
    rows.stride = conv_.stride;
    rows.plane = conv_.pixels;
    rows.length = conv_.pixels;
    rows.low = conv_.low;
    rows.high = conv_.high;
    return rows;
  }

  const ChannelConv& conv_;
  const int64_t outputs_;
  const float* x_;
  float* y_;
  const float* weight_;
  const float* bias_;
};

}  // namespace

const char* why_not(const ChannelConv& conv) {
  if (conv.taps < 1) return "there must be a tap";
  if (conv.stride < 1) return "stride must be at least 1";
  if (conv.pad_begin < 0 || conv.pad_end < 0) return "padding must not be negative";
  if (conv.channels + conv.pad_begin + conv.pad_end < conv.taps) {
    return "the filter is longer than the padded channels";
  }
  return nullptr;
}

int64_t outputs_of(const ChannelConv& conv) { return outputs(conv); }

int64_t work_items(const ChannelConv& conv) { return conv.batch * items_of_filter(conv) * conv.filters; }

void run(const ChannelConv& conv, int64_t begin, int64_t end) {
  const int64_t pieces = items_of_filter(conv);
  const int64_t channels = channels_of_item(conv);
  for (int64_t item = begin; item < end; ++item) {
    // Filters change fastest: they read the same channels.
    const int64_t filter = item % conv.filters;
    const int64_t first = item / conv.filters % pieces * channels;
    const int64_t batch = item / conv.filters / pieces;
    const int64_t after = first + channels < outputs(conv) ? first + channels : outputs(conv);
    Filter(conv, batch, filter).run(first, after);
  }
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
