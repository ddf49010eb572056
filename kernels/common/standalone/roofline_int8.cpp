// Measures the peak of int8 products: the instruction that multiplies most of them, without loads. A file of its own,
// since not every assembler knows all of them.
#include "threads.h"

namespace {

// As many as hide the latency of two multipliers.
constexpr int kChains = 10;

#if defined(EDGEVID_AVX512_VNNI)
constexpr int kProducts = 64;
typedef int Sums __attribute__((vector_size(64)));
#define MULTIPLY_ADD(sum, a, b, ones) asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#elif defined(EDGEVID_AVX_VNNI)
constexpr int kProducts = 32;
typedef int Sums __attribute__((vector_size(32)));
#define MULTIPLY_ADD(sum, a, b, ones) asm volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#elif defined(EDGEVID_DOT)
constexpr int kProducts = 16;
typedef int Sums __attribute__((vector_size(16)));
#define MULTIPLY_ADD(sum, a, b, ones) asm volatile("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b))
#elif defined(__AVX2__)
constexpr int kProducts = 32;
typedef int Sums __attribute__((vector_size(32)));
#define MULTIPLY_ADD(sum, a, b, ones)                                                \
  do {                                                                               \
    Sums pairs;                                                                      \
    asm volatile("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0" \
                 : "+x"(sum), "=&x"(pairs)                                           \
                 : "x"(a), "x"(b), "x"(ones));                                       \
  } while (0)
#else
#error "no instruction for products of int8 is known here"
#endif

}  // namespace

// Returns the multiplications that every thread did.
extern "C" int64_t multiply_int8_on_threads(int64_t steps, int64_t threads, int* result) {
  edgevid::on_threads(threads, threads, 1, [=](int64_t begin, int64_t) {
    // Ten variables: compilers keep an array that is used by asm in memory.
    Sums s0 = {}, s1 = {}, s2 = {}, s3 = {}, s4 = {}, s5 = {}, s6 = {}, s7 = {}, s8 = {}, s9 = {};
    Sums factor = {}, ones = {};
    factor += 0x01010101 * *result;
    ones += 0x00010001;
    for (int64_t step = 0; step < steps; ++step) {
      MULTIPLY_ADD(s0, factor, factor, ones);
      MULTIPLY_ADD(s1, factor, factor, ones);
      MULTIPLY_ADD(s2, factor, factor, ones);
      MULTIPLY_ADD(s3, factor, factor, ones);
      MULTIPLY_ADD(s4, factor, factor, ones);
      MULTIPLY_ADD(s5, factor, factor, ones);
      MULTIPLY_ADD(s6, factor, factor, ones);
      MULTIPLY_ADD(s7, factor, factor, ones);
      MULTIPLY_ADD(s8, factor, factor, ones);
      MULTIPLY_ADD(s9, factor, factor, ones);
    }
    s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + ones;
    result[1 + begin] = s0[0];
  });
  return steps * kChains * kProducts;
}
