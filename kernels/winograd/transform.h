// The one-dimensional transforms of F(4, 3) at the points 0, +-kA, +-kB and infinity, on vectors.
#pragma once

#include "../common/ort/vector.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Points whose product is 1 keep the numbers of both transforms close to 1: on noise the error is less than a third of
// that of the usual points 1 and 2 (README.md). reference.py has the same.
constexpr float kA = 0.70710678f, kB = 1.41421356f;
constexpr float kA2 = 0.5f, kB2 = 2.0f, kA3 = kA * kA2, kB3 = kB * kB2;

// Inputs to points.
inline void to_points(const Vector (&d)[6], Vector (&v)[6]) {
  const Vector even_a = d[4] - kB2 * d[2], odd_a = kA * (d[3] - kB2 * d[1]);
  const Vector even_b = d[4] - kA2 * d[2], odd_b = kB * (d[3] - kA2 * d[1]);
  v[0] = kA2 * kB2 * d[0] - (kA2 + kB2) * d[2] + d[4];
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = kA2 * kB2 * d[1] - (kA2 + kB2) * d[3] + d[5];
}

// Points to outputs.
inline void from_points(const Vector (&m)[6], Vector (&y)[4]) {
  const Vector sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const Vector sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = kA * difference_a + kB * difference_b;
  y[2] = kA2 * sum_a + kB2 * sum_b;
  y[3] = kA3 * difference_a + kB3 * difference_b + m[5];
}

}  // namespace
}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
