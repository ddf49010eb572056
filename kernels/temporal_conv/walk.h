// The inner loop: some vectors of each frame in turn, with the frames under the filter in registers.
#pragma once

#include "../common/ort/values.h"
#include "temporal_conv.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Frames that are processed before the next vectors; reading some of them twice costs little. Planes are often whole
// pages, so all frames of x and y map to the same few sets of L1.
constexpr int64_t kFramesInCaches = 4;

// A range of floats with the same filters, at its position in the first frame.
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

// The frame of the clip, or of the state before it; null if it does not exist.
inline const float* frame_at(const Column& column, int64_t frame) {
  if (frame >= 0) return frame < column.frames ? column.x + frame * column.stride : nullptr;
  return column.state ? column.state + (frame + column.past) * column.stride : nullptr;
}

// Calls `run` for each part of the frames that is processed at once.
template <class Run>
void for_parts(Column column, bool non_temporal, const Run& run) {
  const int64_t step = non_temporal ? column.frames : kFramesInCaches;
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

template <bool NonTemporal, int Vectors, class Value, int Taps, int Patterns>
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
      if constexpr (NonTemporal) {
        store_non_temporal(column.y + present + v * lanes, sum);
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

}  // namespace
}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
