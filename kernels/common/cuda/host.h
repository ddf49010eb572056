// CUDA as far as the kernels use it, in ordinary C++: a launch is two loops, threads run one after another.
//
// For tests on machines without a GPU. It shows that a kernel computes what it should, not how fast; kernels
// that wait for other threads of their block cannot be run so.
#pragma once

#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __restrict__ __restrict

#define CUDART_VERSION 0

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

static thread_local dim3 blockIdx, blockDim, gridDim, threadIdx;

namespace edgevid {
namespace cuda {

inline float float_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// A half's value is exact in a float: the exponent is moved, and a subnormal number is a small integer.
inline float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) / 16777216.0f;
    return sign ? -magnitude : magnitude;
  }
  const std::uint32_t moved = exponent == 31 ? 255 : exponent + 112;
  return float_of_bits(sign | moved << 23 | fraction << 13);
}

// Rounded to the nearest half, ties to even, as the GPU's cvt.rn does.
inline std::uint16_t half_of_float(float value) {
  const std::uint32_t bits = bits_of_float(value), magnitude = bits & 0x7fffffff;
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  if (magnitude > 0x7f800000) return sign | 0x7e00;   // not a number
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds to infinity
  if (magnitude < 0x38800000) {                       // subnormal: adding 0.5 leaves it in the lowest bits
    const float sum = float_of_bits(magnitude) + 0.5f;
    return sign | static_cast<std::uint16_t>(bits_of_float(sum) - 0x3f000000);
  }
  const std::uint32_t rounded = magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1);
  return sign | static_cast<std::uint16_t>(rounded >> 13);
}

// Calls `body` once for each thread of `grid` blocks of `threads`, with its indices as in CUDA.
template <typename Body>
void for_each_thread(dim3 grid, unsigned threads, Body body) {
  gridDim = grid;
  blockDim = dim3{threads, 1, 1};
  for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
    for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
      for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) body();
    }
  }
}

}  // namespace cuda
}  // namespace edgevid
