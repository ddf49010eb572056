// From a decoder's planes to a network's input: resize, crop, color matrix, normalization and layout in one pass.
// See README.md.
#pragma once

#include <cstdint>

#include "../common/ort/isa.h"

namespace edgevid {

// Fixed-point weights from the samples of an axis to its pixels; those of each pixel add up to kOne, and may be
// negative.
struct PreprocessFilter {
  static constexpr int kOne = 1 << 14;

  const int32_t* first = nullptr;    // (pixels): the sample of the first weight
  const int16_t* weights = nullptr;  // (pixels, taps); zeros after the last sample
  int64_t taps = 0;
};

struct Preprocess {
  enum Output { kFloat32, kFloat16, kInt8 };
  // Filters of columns have whole groups of pixels and whole blocks of taps, filled up with zeros. Their weights are
  // (pixels / kGroup, taps / kTapBlock, 4, 2, kTapBlock): those of pixels i and i + 4 of a group lie side by side.
  static constexpr int kGroup = 8, kTapBlock = 8;
  static constexpr int kUnit = 1 << 20;  // both of PreprocessFilter::kOne, less 8 bits

  // Y, U and V, or Y and UV if `interleaved`: the first row, from the window's first column on. `stride` is the
  // bytes from a row to the next, negative if they lie bottom up.
  const void* planes[3] = {};
  int64_t strides[3] = {};
  int64_t windows[2] = {};   // columns that are read, of luma and of each chroma
  int64_t sample_bytes = 1;  // 2: little-endian words
  int64_t sample_shift = 8;  // the left shift that takes full scale to 16 bits
  int64_t interleaved = 0;

  // Of luma and of chroma. Rows count from the picture's first, columns from the window's.
  PreprocessFilter rows[2], columns[2];
  int64_t height = 0, width = 0;  // pixels of `rows` and of `columns`

  // Channel c is color[c] * (Y, U, V, 1), clipped; Y, U and V are samples of 8 bits times kUnit.
  float color[3][4] = {};
  float low[3] = {}, high[3] = {};

  void* out = nullptr;
  int64_t output = kFloat32;  // kFloat16 rounds to nearest even; kInt8 too, and does not saturate beyond low and high
  int64_t channel_step = 0, row_step = 0;  // elements from a channel, and from a row of `out`, to the next
  int64_t turned = 0;                      // the picture's rows are the columns of `out`
};

// A sentence if the arguments cannot be run, else null; the pointers are not looked at.
EDGEVID_DECLARE_FOR_EACH_ISA(const char* why_not(const Preprocess&))

// The work is cut into pieces that any thread may do in any order; `run` does [begin, end) of them.
EDGEVID_DECLARE_FOR_EACH_ISA(int64_t work_items(const Preprocess&))
EDGEVID_DECLARE_FOR_EACH_ISA(void run(const Preprocess&, int64_t begin, int64_t end))

}  // namespace edgevid
