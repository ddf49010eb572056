// TemporalConv and TemporalConvStep on the GPU, in float32 or half; sums are float32.
//
// Cost for E elements: taps * E MACs; with up to 5 taps each element is read once and written once, 8 E bytes in
// float32 and 4 E in half: a thread loops over the frames with those under the filter in its registers. Longer
// filters read a frame again for each tap. Accesses have 16 bytes if images allow it.
#pragma once

#include "../common/cuda/device.cuh"

namespace edgevid {
namespace cuda {

// As kernels/temporal_conv/README.md has it: y[t] = bias + sum over j of weights[:, j] * x[t + j - past].
// x, y (batch * frames, channels, pixels) or, `channels_last`, (batch * frames, pixels, channels); weights
// (channels, taps); bias (channels) or null; state and next_state (batch, past, an image in the layout of x) or
// null. All are half if `half`, else float. State and next_state may be the same memory with up to 5 taps.
struct TemporalConv {
  int batch, frames, channels, pixels, taps, past, channels_last, half;
  const void *x, *weights, *bias, *state;
  void *y, *next_state;
};

// `image` elements; an element's channel is (index / inner) % channels.
struct FilterLayout {
  int image, inner, channels, batch, frames, past;
};

template <typename T>
struct FilterTensors {
  const T *x, *weights, *bias, *state;
  T *y, *next_state;
};

// `size` neighboring elements per thread; if `one_channel` they are of the same channel.
template <typename T, int size, int taps, bool one_channel>
__global__ void filter_frames(FilterTensors<T> tensors, FilterLayout layout) {
  using Piece = Vector<T, size>;
  constexpr int filters = one_channel ? 1 : size;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * size;
  if (i >= layout.image) return;
  float weights[taps][filters], bias[filters];
#pragma unroll
  for (int e = 0; e < filters; ++e) {
    const int channel = (i + e) / layout.inner % layout.channels;
    bias[e] = tensors.bias ? to_float(tensors.bias[channel]) : 0.0f;
#pragma unroll
    for (int j = 0; j < taps; ++j) weights[j][e] = to_float(tensors.weights[channel * taps + j]);
  }
  for (int n = static_cast<int>(blockIdx.y); n < layout.batch; n += static_cast<int>(gridDim.y)) {
    const T* x = tensors.x + static_cast<long long>(n) * layout.frames * layout.image + i;
    T* y = tensors.y + static_cast<long long>(n) * layout.frames * layout.image + i;
    const long long state = static_cast<long long>(n) * layout.past * layout.image + i;
    Piece window[taps];  // the frames under the filter, the oldest first
#pragma unroll
    for (int j = 0; j + 1 < taps; ++j) {
      const int frame = j - layout.past;
      window[j] = Piece();
      if (frame < 0 && tensors.state)
        window[j] = *reinterpret_cast<const Piece*>(tensors.state + state + static_cast<long long>(j) * layout.image);
      if (frame >= 0 && frame < layout.frames)
        window[j] = *reinterpret_cast<const Piece*>(x + static_cast<long long>(frame) * layout.image);
    }
    for (int t = 0; t < layout.frames; ++t) {
      const int frame = t + taps - 1 - layout.past;
      window[taps - 1] = Piece();
      if (frame < layout.frames)
        window[taps - 1] = *reinterpret_cast<const Piece*>(x + static_cast<long long>(frame) * layout.image);
      Piece result;
#pragma unroll
      for (int e = 0; e < size; ++e) {
        const int filter = one_channel ? 0 : e;
        float sum = bias[filter];
#pragma unroll
        for (int j = 0; j < taps; ++j) sum += weights[j][filter] * to_float(window[j].at[e]);
        store(sum, result.at[e]);
      }
      *reinterpret_cast<Piece*>(y + static_cast<long long>(t) * layout.image) = result;
#pragma unroll
      for (int j = 0; j + 1 < taps; ++j) window[j] = window[j + 1];
    }
    if (!tensors.next_state) continue;
#pragma unroll
    for (int j = 0; j + 1 < taps; ++j) {
      if (j >= layout.past) break;
      *reinterpret_cast<Piece*>(tensors.next_state + state + static_cast<long long>(j) * layout.image) = window[j];
    }
  }
}

// Any number of taps, one element of one frame for each thread; the rows of the grid are frames, then states.
template <typename T>
__global__ void filter_frames_long(FilterTensors<T> tensors, FilterLayout layout, int taps) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= layout.image) return;
  const int channel = i / layout.inner % layout.channels;
  const int kept = tensors.next_state ? layout.past : 0, rows = layout.frames + kept;
  for (int row = static_cast<int>(blockIdx.y); row < layout.batch * rows; row += static_cast<int>(gridDim.y)) {
    const int n = row / rows, t = row % rows;
    const T* x = tensors.x + static_cast<long long>(n) * layout.frames * layout.image + i;
    const long long past = static_cast<long long>(n) * layout.past * layout.image + i;
    const T* state = tensors.state ? tensors.state + past : nullptr;
    if (t >= layout.frames) {
      const int frame = t - layout.past;  // of the last ones
      const long long at = (static_cast<long long>(n) * layout.past + t - layout.frames) * layout.image + i;
      T value = T();
      if (frame >= 0) value = x[static_cast<long long>(frame) * layout.image];
      if (frame < 0 && state) value = state[static_cast<long long>(t) * layout.image];
      tensors.next_state[at] = value;
      continue;
    }
    float sum = tensors.bias ? to_float(tensors.bias[channel]) : 0.0f;
    for (int j = 0; j < taps; ++j) {
      const int frame = t + j - layout.past;
      float value = 0.0f;
      if (frame >= 0 && frame < layout.frames) value = to_float(x[static_cast<long long>(frame) * layout.image]);
      if (frame < 0 && state) value = to_float(state[static_cast<long long>(t + j) * layout.image]);
      sum += to_float(tensors.weights[channel * taps + j]) * value;
    }
    store(sum, tensors.y[(static_cast<long long>(n) * layout.frames + t) * layout.image + i]);
  }
}

#ifndef __CUDACC_RTC__
namespace detail {

template <typename T, int taps>
cudaError_t run_filter(const FilterTensors<T>& tensors, const FilterLayout& layout, cudaStream_t stream) {
  constexpr int size = 16 / sizeof(T);
  const bool whole =
      layout.image % size == 0 && are_aligned(16, tensors.x, tensors.state, tensors.y, tensors.next_state);
  if (!whole) return launch(filter_frames<T, 1, taps, true>, layout.image, layout.batch, stream, tensors, layout);
  const int threads = layout.image / size;
  if (layout.inner % size == 0)
    return launch(filter_frames<T, size, taps, true>, threads, layout.batch, stream, tensors, layout);
  return launch(filter_frames<T, size, taps, false>, threads, layout.batch, stream, tensors, layout);
}

template <typename T>
cudaError_t run_typed(const TemporalConv& conv, cudaStream_t stream) {
  const FilterTensors<T> tensors{static_cast<const T*>(conv.x),    static_cast<const T*>(conv.weights),
                                 static_cast<const T*>(conv.bias), static_cast<const T*>(conv.state),
                                 static_cast<T*>(conv.y),          static_cast<T*>(conv.next_state)};
  const FilterLayout layout{conv.channels * conv.pixels,
                            conv.channels_last ? 1 : conv.pixels,
                            conv.channels,
                            conv.batch,
                            conv.frames,
                            conv.past};
  if (conv.taps == 3) return run_filter<T, 3>(tensors, layout, stream);
  if (conv.taps == 5) return run_filter<T, 5>(tensors, layout, stream);
  const int rows = conv.frames + (conv.next_state ? conv.past : 0);
  return launch(filter_frames_long<T>, layout.image, static_cast<long long>(conv.batch) * rows, stream, tensors, layout,
                conv.taps);
}

}  // namespace detail

// cudaErrorInvalidValue if the numbers make no sense; else the result of the launch.
inline cudaError_t run(const TemporalConv& conv, cudaStream_t stream) {
  if (conv.frames < 1 || conv.taps < 1 || conv.past < 0 || conv.past >= conv.taps) return cudaErrorInvalidValue;
  if (conv.batch == 0 || conv.channels == 0 || conv.pixels == 0) return cudaSuccess;
  return conv.half ? detail::run_typed<Half>(conv, stream) : detail::run_typed<float>(conv, stream);
}
#endif

}  // namespace cuda
}  // namespace edgevid
