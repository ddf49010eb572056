// What the kernels do with a Value, which is a Vector or, where a row is shorter than one, a float.
#pragma once

#include "vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgevid::EDGEVID_ISA_NAMESPACE {

template <class Value>
constexpr int kLanesOf = sizeof(Value) / sizeof(float);

// Tensors are aligned to one float only: planes of odd size follow each other without gaps.
template <class Value>
inline Value load_as(const float* address) {
  Value value;
  __builtin_memcpy(&value, address, sizeof value);
  return value;
}

template <class Value>
inline void store_as(float* address, Value value) {
  __builtin_memcpy(address, &value, sizeof value);
}

template <class Value>
inline Value splat_as(float value) {
  return value - Value{};
}

// A NaN stays one, as in ONNX's Clip and Relu.
template <class Value>
inline Value clip(Value value, Value low, Value high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

// Bypasses the caches: the old content of `address`, which must be aligned to a Vector, is not read.
inline void store_non_temporal(float* address, Vector value) {
#if defined(__AVX512F__)
  _mm512_stream_ps(address, reinterpret_cast<__m512>(value));
#elif defined(__AVX2__)
  _mm256_stream_ps(address, reinterpret_cast<__m256>(value));
#elif defined(__x86_64__)
  _mm_stream_ps(address, reinterpret_cast<__m128>(value));
#else
  store_as(address, value);
#endif
}

// Makes preceding non-temporal stores visible to other threads.
inline void finish_non_temporal_stores() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
