// Filters of any length, slowly: each tap reads its frame again.
#pragma once

#include "temporal_conv.h"
#include "walk.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Of a filter whose frames fit into the registers.
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

}  // namespace
}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
