// Measures the roofline bound: the C library's copy, sums of what is read, and multiplications without loads.
#include <cstring>

#include "../ort/values.h"
#include "threads.h"

namespace kernel = edgevid::EDGEVID_ISA_NAMESPACE;

namespace {

// As many as hide the latency of two multipliers.
constexpr int kChains = 12;

}  // namespace

extern "C" {

void copy_on_threads(float* to, const float* from, int64_t count, int64_t threads, int64_t repeats) {
  edgevid::on_threads(count, threads, repeats, [=](int64_t begin, int64_t end) {
    std::memcpy(to + begin, from + begin, (end - begin) * sizeof(float));
  });
}

// Every thread leaves the sum of its part in `result`.
void read_on_threads(const float* from, int64_t count, int64_t threads, int64_t repeats, float* result) {
  edgevid::on_threads(count, threads, repeats, [=](int64_t begin, int64_t end) {
    kernel::Vector sums[kChains] = {};
    constexpr int64_t kStep = kChains * kernel::kLanes;
    for (int64_t i = begin; i + kStep <= end; i += kStep) {
      for (int j = 0; j < kChains; ++j) sums[j] += kernel::load_as<kernel::Vector>(from + i + j * kernel::kLanes);
    }
    for (int j = 1; j < kChains; ++j) sums[0] += sums[j];
    result[begin * threads / (count ? count : 1)] = sums[0][0];
  });
}

// Returns the multiplications that every thread did.
int64_t multiply_on_threads(int64_t steps, int64_t threads, float* result) {
  edgevid::on_threads(threads, threads, 1, [=](int64_t begin, int64_t) {
    kernel::Vector chains[kChains];
    for (int i = 0; i < kChains; ++i) chains[i] = kernel::splat_as<kernel::Vector>(1.0f + i);
    const kernel::Vector factor = kernel::splat_as<kernel::Vector>(*result);
    for (int64_t step = 0; step < steps; ++step) {
      for (int i = 0; i < kChains; ++i) chains[i] = chains[i] * factor + factor;
    }
    for (int i = 1; i < kChains; ++i) chains[0] += chains[i];
    result[1 + begin] = chains[0][0];
  });
  return steps * kChains * kernel::kLanes;
}
}
