// One vector register of floats, in GCC's and Clang's vector extension: the same source for every instruction
// set. Included by cpu*.cpp files only, which must not use inline functions of the standard library: the
// linker could keep the copy that was compiled for the largest instruction set. The build defines
// EDGEVID_ISA_NAMESPACE, the name of the set.
#pragma once

#include <cstdint>

namespace edgevid::EDGEVID_ISA_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 32;
#else
constexpr int kLanes = 4, kRegisters = 16;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
// The same at an address that is only aligned to one float.
typedef float UnalignedVector __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));

static inline Vector load(const float* address) { return *reinterpret_cast<const UnalignedVector*>(address); }
static inline void store(float* address, Vector value) { *reinterpret_cast<UnalignedVector*>(address) = value; }
static inline Vector splat(float value) { return value - Vector{}; }
static inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
static inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }

static inline int64_t minimum(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t maximum(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
