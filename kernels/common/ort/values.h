// What the kernels do with a Value, which is a Vector or, where a row is shorter than one, a float.
#pragma once

#include "vector.h"

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

// Bypasses the caches: the old content of `address`, which must be aligned to a Vector, is not read. By builtins:
// <immintrin.h> takes a compiler longer than most kernels do.
inline void store_non_temporal(float* address, Vector value) {
#if !defined(__x86_64__)
  store_as(address, value);
#elif defined(__clang__)
  __builtin_nontemporal_store(value, reinterpret_cast<Vector*>(address));
#elif defined(__AVX512F__)
  __builtin_ia32_movntps512(address, value);
#elif defined(__AVX2__)
  __builtin_ia32_movntps256(address, value);
#else
  __builtin_ia32_movntps(address, value);
#endif
}

// Makes preceding non-temporal stores visible to other threads.
inline void finish_non_temporal_stores() {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
