// Vectors of 16-bit integers: what GCC's vector extension has no operator for, or compiles to more instructions than
// there need be. Included by cpu.cpp only.
#pragma once

#include "../common/ort/vector.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__x86_64__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgevid::EDGEVID_ISA_NAMESPACE {

// ---- blending rows: registers of unsigned words --------------------------------------------------------------

constexpr int kWords = 2 * kLanes;
typedef uint16_t Words __attribute__((vector_size(kWords * sizeof(uint16_t))));

static inline Words splat_words(int value) { return static_cast<uint16_t>(value) - Words{}; }

// The upper halves of the products.
static inline Words multiply_high(Words a, Words b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<Words>(_mm512_mulhi_epu16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Words>(_mm256_mulhi_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__x86_64__)
  return reinterpret_cast<Words>(_mm_mulhi_epu16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  typedef uint32_t Products __attribute__((vector_size(kWords * sizeof(uint32_t))));
  const Products products = __builtin_convertvector(a, Products) * __builtin_convertvector(b, Products);
  return __builtin_convertvector(products >> 16, Words);
#endif
}

// Two registers of samples, shifted left; those of bytes are in the order of store_samples<uint8_t>.
template <class Sample>
inline void load_samples(const char* address, int shift, Words (&words)[2]) {
  // Not both at once: GCC would copy them to the stack in halves, and wait for these.
  __builtin_memcpy(&words[0], address, sizeof(Words));
  __builtin_memcpy(&words[1], address + sizeof(Words), sizeof(Words));
  words[0] <<= static_cast<uint16_t>(shift);
  words[1] <<= static_cast<uint16_t>(shift);
}

template <>
inline void load_samples<uint8_t>(const char* address, int, Words (&words)[2]) {
  typedef uint8_t Bytes __attribute__((vector_size(sizeof(Words))));
  Bytes bytes;
  __builtin_memcpy(&bytes, address, sizeof bytes);
#if defined(__AVX512BW__)
  const __m512i x = reinterpret_cast<__m512i>(bytes), zeros = _mm512_setzero_si512();
  words[0] = reinterpret_cast<Words>(_mm512_unpacklo_epi8(zeros, x));
  words[1] = reinterpret_cast<Words>(_mm512_unpackhi_epi8(zeros, x));
#elif defined(__AVX2__)
  const __m256i x = reinterpret_cast<__m256i>(bytes), zeros = _mm256_setzero_si256();
  words[0] = reinterpret_cast<Words>(_mm256_unpacklo_epi8(zeros, x));
  words[1] = reinterpret_cast<Words>(_mm256_unpackhi_epi8(zeros, x));
#elif defined(__x86_64__)
  const __m128i x = reinterpret_cast<__m128i>(bytes), zeros = _mm_setzero_si128();
  words[0] = reinterpret_cast<Words>(_mm_unpacklo_epi8(zeros, x));
  words[1] = reinterpret_cast<Words>(_mm_unpackhi_epi8(zeros, x));
#elif defined(__aarch64__)
  const uint8x16_t x = reinterpret_cast<uint8x16_t>(bytes), zeros = vdupq_n_u8(0);
  words[0] = reinterpret_cast<Words>(vzip1q_u8(zeros, x));
  words[1] = reinterpret_cast<Words>(vzip2q_u8(zeros, x));
#else
  for (int i = 0; i < 2 * kWords; ++i) words[i / kWords][i % kWords] = static_cast<uint16_t>(bytes[i] << 8);
#endif
}

template <class Sample>
inline void store_samples(int16_t* target, const Words (&words)[2]) {
  __builtin_memcpy(target, &words[0], sizeof(Words));
  __builtin_memcpy(target + kWords, &words[1], sizeof(Words));
}

#if defined(__AVX2__)
// The wide registers unpack each 128 bits by themselves.
template <>
inline void store_samples<uint8_t>(int16_t* target, const Words (&words)[2]) {
#if defined(__AVX512BW__)
  const __m512i a = reinterpret_cast<__m512i>(words[0]), b = reinterpret_cast<__m512i>(words[1]);
  const __m512i low = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), high = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  _mm512_storeu_si512(target, _mm512_permutex2var_epi64(a, low, b));
  _mm512_storeu_si512(target + kWords, _mm512_permutex2var_epi64(a, high, b));
#else
  const __m256i a = reinterpret_cast<__m256i>(words[0]), b = reinterpret_cast<__m256i>(words[1]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), _mm256_permute2x128_si256(a, b, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + kWords), _mm256_permute2x128_si256(a, b, 0x31));
#endif
}
#endif

// ---- filtering columns: dot products of eight signed words ---------------------------------------------------
// A register holds eight words for one pixel or, on AVX2 and later, for two that are four apart.

#if defined(__AVX2__)
constexpr int kParts = 2;
#else
constexpr int kParts = 1;
#endif
constexpr int kDots = 4 * kParts;  // pixels at a time

typedef int16_t Taps __attribute__((vector_size(kParts * 8 * sizeof(int16_t))));
typedef int32_t Sums __attribute__((vector_size(kDots * sizeof(int32_t))));
typedef float Floats __attribute__((vector_size(kDots * sizeof(float))));

// The words at `low`, and at `high` if there are two parts.
static inline Taps load_parts(const int16_t* low, const int16_t* high) {
#if defined(__AVX2__)
  const __m256i first = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low)));
  return reinterpret_cast<Taps>(
      _mm256_inserti128_si256(first, _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1));
#else
  static_cast<void>(high);
  Taps taps;
  __builtin_memcpy(&taps, low, sizeof taps);
  return taps;
#endif
}

// Of each part, four sums of two products, which are different ones in different instruction sets.
static inline Sums multiply_pairs(Taps a, Taps b) {
#if defined(__AVX2__)
  return reinterpret_cast<Sums>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__x86_64__)
  return reinterpret_cast<Sums>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#elif defined(__aarch64__)
  const int16x8_t x = reinterpret_cast<int16x8_t>(a), y = reinterpret_cast<int16x8_t>(b);
  return reinterpret_cast<Sums>(vmlal_high_s16(vmull_s16(vget_low_s16(x), vget_low_s16(y)), x, y));
#else
  Sums sums;
  for (int i = 0; i < kDots; ++i) sums[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
  return sums;
#endif
}

#if defined(__x86_64__) || defined(__aarch64__)
static inline Sums add_neighbors(Sums a, Sums b) {
#if defined(__AVX2__)
  return reinterpret_cast<Sums>(_mm256_hadd_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__x86_64__)
  const __m128 x = reinterpret_cast<__m128>(a), y = reinterpret_cast<__m128>(b);
  return reinterpret_cast<Sums>(_mm_shuffle_ps(x, y, 0x88)) + reinterpret_cast<Sums>(_mm_shuffle_ps(x, y, 0xdd));
#else
  return reinterpret_cast<Sums>(vpaddq_s32(reinterpret_cast<int32x4_t>(a), reinterpret_cast<int32x4_t>(b)));
#endif
}
#endif

// Element i of each part is the sum of that part of `sums[i]`.
static inline Sums add_parts(const Sums (&sums)[4]) {
#if defined(__x86_64__) || defined(__aarch64__)
  return add_neighbors(add_neighbors(sums[0], sums[1]), add_neighbors(sums[2], sums[3]));
#else
  Sums total;
  for (int i = 0; i < 4; ++i) total[i] = sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
  return total;
#endif
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
