// The widest vector of floats of the instruction set that this is compiled for, and what is done with it.
//
// Everything stands in an unnamed namespace: the same names are compiled once per instruction set, and a
// linker that merged them could hand AVX-512 code to a processor without it.

#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgevid {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * kLanes)));

// Tensors are aligned to 4 bytes only: planes of odd size follow each other without gaps.
template <class Value>
inline Value load(const float* from) {
  Value value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

template <class Value>
inline void store(float* to, Value value) {
  __builtin_memcpy(to, &value, sizeof value);
}

// Past the caches: the old contents of `to`, which must be aligned to the vector, are not read first.
template <class Value>
inline void store_past_caches(float* to, Value value) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, reinterpret_cast<__m512>(value));
#elif defined(__AVX2__)
  _mm256_stream_ps(to, reinterpret_cast<__m256>(value));
#elif defined(__x86_64__)
  _mm_stream_ps(to, reinterpret_cast<__m128>(value));
#else
  store(to, value);
#endif
}

// Other threads see no store past the caches before this.
inline void finish_stores_past_caches() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

template <class Value>
inline Value broadcast(float value) {
  return Value{} + value;
}

// A NaN stays one, as in ONNX's Clip and Relu.
template <class Value>
inline Value clip(Value value, Value low, Value high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

}  // namespace
}  // namespace edgevid
