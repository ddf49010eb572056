// What the CUDA kernels share: half precision, whole vectors of memory, and a launch that the host can emulate.
//
// C++14 and no header but CUDA's own, so that the nvcc of JetPack 4 (10.2), newer ones and NVRTC, which has no
// headers at all, compile it. EDGEVID_EMULATED makes ordinary C++ of it (host.h).
#pragma once

#ifdef EDGEVID_EMULATED
#include "host.h"
#elif !defined(__CUDACC_RTC__)
#include <cuda_runtime_api.h>
#endif

namespace edgevid {
namespace cuda {

constexpr int kThreads = 256;
constexpr int kMaxGridY = 65535;

// The bits of an IEEE half. CUDA's __half would need cuda_fp16.h, which NVRTC does not bring along.
struct Half {
  unsigned short bits;
};

#ifdef EDGEVID_EMULATED
inline float to_float(Half value) { return float_of_half(value.bits); }
inline Half to_half(float value) { return Half{half_of_float(value)}; }
#else
__device__ inline float to_float(Half value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}

__device__ inline Half to_half(float value) {
  Half result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
#endif

__device__ inline float to_float(float value) { return value; }
__device__ inline void store(float value, float& target) { target = value; }
__device__ inline void store(float value, Half& target) { target = to_half(value); }

// `count` elements that are read and written as one piece.
template <typename T, int count>
struct alignas(sizeof(T) * count) Vector {
  T at[count];
};

#ifndef __CUDACC_RTC__
inline unsigned blocks_for(long long threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

inline bool are_aligned(int) { return true; }

// Whether all pointers are multiples of `bytes`; null is.
template <typename... Pointers>
bool are_aligned(int bytes, const void* first, Pointers... others) {
  const bool aligned = reinterpret_cast<unsigned long long>(first) % static_cast<unsigned long long>(bytes) == 0;
  return aligned && are_aligned(bytes, others...);
}

// One thread for each of `x` items in rows of the grid, `y` rows; a kernel goes on with rows beyond the grid.
template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), long long x, long long y, cudaStream_t stream,
                   Arguments... arguments) {
  if (x == 0 || y == 0) return cudaSuccess;
  const dim3 grid{blocks_for(x), static_cast<unsigned>(y < kMaxGridY ? y : kMaxGridY), 1u};
#ifdef EDGEVID_EMULATED
  (void)stream;
  for_each_thread(grid, kThreads, [&] { kernel(arguments...); });
  return cudaSuccess;
#else
  kernel<<<grid, kThreads, 0, stream>>>(arguments...);
  return cudaGetLastError();
#endif
}
#endif

}  // namespace cuda
}  // namespace edgevid
