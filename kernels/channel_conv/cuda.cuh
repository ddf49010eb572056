// ChannelConv on the GPU, in float32 or half; sums are float32. Filters are shared by all outputs.
//
// Cost: filters * outputs * taps * pixels MACs; each element of y is written once, each of x is read once from
// memory and then, for the other outputs that read it, from the caches: the layers of ChannelNets have 100 KB. At
// stride 1 and 2 a thread computes 8 outputs and loads a channel once for all of them. Lanes of a warp are
// neighboring pixels. Planes of 14x14 and 7x7 are not multiples of 16 bytes, so there are no vectors.
#pragma once

#include "../common/cuda/device.cuh"

namespace edgevid {
namespace cuda {

// As kernels/channel_conv/README.md has it: x (batch, channels, pixels), weights (filters, taps), bias (filters)
// or null, y (batch, filters, outputs, pixels). All are half if `half`, else float.
struct ChannelConv {
  int batch, channels, pixels, filters, taps, stride, pad_begin, pad_end, half;
  const void *x, *weights, *bias;
  void* y;

  __host__ __device__ int outputs() const { return (pad_begin + channels + pad_end - taps) / stride + 1; }
};

constexpr int kOutputs = 8;

// `steps` neighboring outputs of a filter at one pixel for each thread. Taps are processed 8 at a time: the channels
// under those of all outputs are in `window`, and the next 8 taps advance it by 8 channels.
// `stride` 0: the stride of `conv`, with one output for each thread.
template <typename T, int stride>
__global__ void filter_channels(ChannelConv conv, int outputs) {
  constexpr int steps = stride ? kOutputs : 1, taps = 8, reach = stride * (steps - 1) + taps;
  const int groups = (outputs + steps - 1) / steps;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= groups * conv.pixels) return;
  const int pixel = i % conv.pixels, output = i / conv.pixels * steps;
  const int start = output * (stride ? stride : conv.stride) - conv.pad_begin;
  for (int row = static_cast<int>(blockIdx.y); row < conv.batch * conv.filters; row += static_cast<int>(gridDim.y)) {
    const int n = row / conv.filters, filter = row % conv.filters;
    const T* x = static_cast<const T*>(conv.x) + static_cast<long long>(n) * conv.channels * conv.pixels + pixel;
    const T* weights = static_cast<const T*>(conv.weights) + static_cast<long long>(filter) * conv.taps;
    const float bias = conv.bias ? to_float(static_cast<const T*>(conv.bias)[filter]) : 0.0f;
    float sums[steps], window[reach];
#pragma unroll
    for (int o = 0; o < steps; ++o) sums[o] = bias;
#pragma unroll
    for (int r = 0; r < reach; ++r) {
      const int channel = start + r;
      const bool inside = r < reach - taps && 0 <= channel && channel < conv.channels;
      window[r] = inside ? to_float(x[static_cast<long long>(channel) * conv.pixels]) : 0.0f;
    }
    for (int tap = 0; tap < conv.taps; tap += taps) {
#pragma unroll
      for (int r = reach - taps; r < reach; ++r) {
        const int channel = start + tap + r;
        const bool inside = 0 <= channel && channel < conv.channels;
        window[r] = inside ? to_float(x[static_cast<long long>(channel) * conv.pixels]) : 0.0f;
      }
#pragma unroll
      for (int j = 0; j < taps; ++j) {
        if (tap + j >= conv.taps) break;
        const float weight = to_float(weights[tap + j]);
#pragma unroll
        for (int o = 0; o < steps; ++o) sums[o] += weight * window[o * stride + j];
      }
#pragma unroll
      for (int r = 0; r + taps < reach; ++r) window[r] = window[r + taps];
    }
    T* y = static_cast<T*>(conv.y) + (static_cast<long long>(row) * outputs + output) * conv.pixels + pixel;
#pragma unroll
    for (int o = 0; o < steps; ++o) {
      if (output + o < outputs) store(sums[o], y[static_cast<long long>(o) * conv.pixels]);
    }
  }
}

#ifndef __CUDACC_RTC__
namespace detail {

template <typename T>
cudaError_t run_typed(const ChannelConv& conv, cudaStream_t stream) {
  const long long outputs = conv.outputs(), groups = (outputs + kOutputs - 1) / kOutputs;
  const long long rows = static_cast<long long>(conv.batch) * conv.filters;
  const int count = static_cast<int>(outputs);
  if (conv.stride == 1) return launch(filter_channels<T, 1>, groups * conv.pixels, rows, stream, conv, count);
  if (conv.stride == 2) return launch(filter_channels<T, 2>, groups * conv.pixels, rows, stream, conv, count);
  return launch(filter_channels<T, 0>, outputs * conv.pixels, rows, stream, conv, count);
}

}  // namespace detail

// cudaErrorInvalidValue if the numbers make no sense; else the result of the launch.
inline cudaError_t run(const ChannelConv& conv, cudaStream_t stream) {
  if (conv.taps < 1 || conv.stride < 1 || conv.pad_begin < 0 || conv.pad_end < 0 ||
      conv.pad_begin + conv.channels + conv.pad_end < conv.taps)
    return cudaErrorInvalidValue;
  return conv.half ? detail::run_typed<Half>(conv, stream) : detail::run_typed<float>(conv, stream);
}
#endif

}  // namespace cuda
}  // namespace edgevid
