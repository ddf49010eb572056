// Between (channels, pixels) and (pixels, channels), a square of vectors at a time.
#pragma once

#include <utility>

#include "vector.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {

// a0 b0 a1 b1 ..., from the first halves of both or from their second.
template <int kHalf, int... kLane>
inline Vector interleave(Vector a, Vector b, std::integer_sequence<int, kLane...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, (kHalf * kLanes / 2 + kLane / 2 + kLane % 2 * kLanes)...);
#else
  typedef int Places __attribute__((vector_size(sizeof(Vector))));
  return __builtin_shuffle(a, b, Places{(kHalf * kLanes / 2 + kLane / 2 + kLane % 2 * kLanes)...});
#endif
}

// Each round interleaves the first half of the rows with the second; after as many as a row's number has bits
// the rows are the columns.
inline void transpose_square(float* target, int64_t target_step, const float* source, int64_t source_step) {
  using Lanes = std::make_integer_sequence<int, kLanes>;
  Vector rows[kLanes];
  for (int row = 0; row < kLanes; ++row) rows[row] = load(source + row * source_step);
  for (int round = 1; round < kLanes; round *= 2) {
    Vector next[kLanes];
    for (int row = 0; row < kLanes / 2; ++row) {
      next[2 * row] = interleave<0>(rows[row], rows[row + kLanes / 2], Lanes());
      next[2 * row + 1] = interleave<1>(rows[row], rows[row + kLanes / 2], Lanes());
    }
    for (int row = 0; row < kLanes; ++row) rows[row] = next[row];
  }
  for (int row = 0; row < kLanes; ++row) store(target + row * target_step, rows[row]);
}

// From `rows` rows of `columns` floats to `columns` rows of `rows`; the steps are from a row to the next.
inline void transpose(float* target, int64_t target_step, const float* source, int64_t source_step, int64_t rows,
                      int64_t columns) {
  const int64_t whole_rows = rows - rows % kLanes, whole_columns = columns - columns % kLanes;
  for (int64_t row = 0; row < whole_rows; row += kLanes) {
    for (int64_t column = 0; column < whole_columns; column += kLanes) {
      transpose_square(target + column * target_step + row, target_step, source + row * source_step + column,
                       source_step);
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; ++column) {
      target[column * target_step + row] = source[row * source_step + column];
    }
  }
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
