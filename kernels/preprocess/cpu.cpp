// For each row of the result: the picture's rows under its filter are blended, as words, into one row of luma and
// two of chroma; then the filters of columns, the color matrix and the normalization run over these, which are in L1.

#include <cstdlib>

#include "../common/ort/transpose.h"
#include "preprocess.h"
#include "words.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// Rows of the result that are done in one go: the lines of a turned picture, which are written across, are vectors.
constexpr int64_t kRowsOfItem = 16;

// Pairs of registers that are blended together: their sums fill half of the registers.
constexpr int kBlend = kRegisters / 4;

constexpr int64_t kCacheLine = 64;

constexpr int64_t kMaxWindow = 1 << 16, kMaxTaps = 1 << 12;

static inline int64_t rounded_up(int64_t count, int64_t multiple) { return ceil_div(count, multiple) * multiple; }

// ---- rows of samples to a row of words -------------------------------------------------------------------------

struct SampleRows {
  const char* first;  // the row of the first weight
  int64_t stride;
  const int16_t* weights;
  int64_t taps;
  int shift;
  int lost;       // half a unit for each product, as much as it is cut by on average
  int64_t ahead;  // rows after these that the next pixel's filter reaches
};

template <class Sample, int kPairs>
inline void blend_pairs(const SampleRows& rows, int16_t* target, int64_t at) {
  constexpr int64_t bytes = 2 * kWords * sizeof(Sample);
  Words sums[kPairs][2];
  for (auto& pair : sums) pair[0] = pair[1] = splat_words(rows.lost);
  const char* source = rows.first + at * static_cast<int64_t>(sizeof(Sample));
  for (int64_t tap = 0; tap < rows.taps; ++tap, source += rows.stride) {
    const int weight = rows.weights[tap];
    const Words size = splat_words(weight < 0 ? -weight : weight);
    for (int i = 0; i < kPairs; ++i) {
      Words samples[2];
      load_samples<Sample>(source + i * bytes, rows.shift, samples);
      for (int half = 0; half < 2; ++half) {
        const Words product = multiply_high(samples[half], size);
        sums[i][half] = weight < 0 ? sums[i][half] - product : sums[i][half] + product;
      }
    }
  }
  for (int i = 0; i < kPairs; ++i) store_samples<Sample>(target + at + i * 2 * kWords, sums[i]);
  for (int64_t row = 0; row < rows.ahead; ++row, source += rows.stride) {
    for (int64_t line = 0; line < kPairs * bytes; line += kCacheLine) __builtin_prefetch(source + line);
  }
}

template <class Sample>
inline int16_t blend_one(const SampleRows& rows, int64_t at) {
  int sum = rows.lost;
  for (int64_t tap = 0; tap < rows.taps; ++tap) {
    Sample sample;
    __builtin_memcpy(&sample, rows.first + tap * rows.stride + at * static_cast<int64_t>(sizeof sample), sizeof sample);
    const int weight = rows.weights[tap], word = static_cast<uint16_t>(sample << rows.shift);
    const int product = word * (weight < 0 ? -weight : weight) >> 16;
    sum += weight < 0 ? -product : product;
  }
  return static_cast<int16_t>(sum);
}

// `target` gets `count` words, of which PreprocessFilter::kOne is the 65536th part of a sample's.
template <class Sample>
void blend(const SampleRows& rows, int16_t* target, int64_t count) {
  constexpr int64_t pair = 2 * kWords;
  int64_t at = 0;
  for (; at + kBlend * pair <= count; at += kBlend * pair) blend_pairs<Sample, kBlend>(rows, target, at);
  for (; at + pair <= count; at += pair) blend_pairs<Sample, 1>(rows, target, at);
  if (at < count && count >= pair) return blend_pairs<Sample, 1>(rows, target, count - pair);  // some of them again
  for (; at < count; ++at) target[at] = blend_one<Sample>(rows, at);
}

// ---- a row of words to pixels ----------------------------------------------------------------------------------

// What the filters of columns give for pixels [at, at + kDots) of each of `kRows` rows. `kTapBlocks` 0 is any number.
template <int kRows, int kTapBlocks>
inline void filter_columns(const PreprocessFilter& filter, const int16_t* const (&rows)[kRows], int64_t at,
                           Floats (&pixels)[kRows]) {
  constexpr int64_t block = Preprocess::kTapBlock, group = Preprocess::kGroup;
  const int64_t blocks = kTapBlocks ? kTapBlocks : filter.taps / block;
  const int32_t* first = filter.first + at;
  // With one part, the second half of a group has the odd places.
  const int16_t* weights = filter.weights + at / group * group * filter.taps + at % group / 4 * block;
  Sums sums[kRows][4];
  for (int i = 0; i < 4; ++i) {
    Sums sum[kRows] = {};
    const int64_t low = first[i], high = first[i + kDots - 4];
    for (int64_t tap = 0; tap < blocks; ++tap) {
      Taps weight;
      __builtin_memcpy(&weight, weights + (tap * 4 + i) * 2 * block, sizeof weight);
      for (int row = 0; row < kRows; ++row) {
        sum[row] += multiply_pairs(load_parts(rows[row] + low + tap * block, rows[row] + high + tap * block), weight);
      }
    }
    for (int row = 0; row < kRows; ++row) sums[row][i] = sum[row];
  }
  for (int row = 0; row < kRows; ++row) pixels[row] = __builtin_convertvector(add_parts(sums[row]), Floats);
}

// ---- pixels to the result --------------------------------------------------------------------------------------

// To the nearest, ties to even.
inline void convert(float value, float& result) { result = value; }

inline void convert(float value, int8_t& result) {
  // Adding it leaves no bits for a fraction.
  constexpr float kMagic = 12582912.0f;
  const float rounded = value + kMagic;
  int32_t bits;
  __builtin_memcpy(&bits, &rounded, sizeof bits);
  result = static_cast<int8_t>(bits);
}

inline void convert(float value, uint16_t& result) {  // to the bits of a float16
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  const uint32_t normal = (size + 0x0fff + (size >> 13 & 1) - (112u << 23)) >> 13;
  float shifted;  // the bits of a number below 2^-14 are at its end
  __builtin_memcpy(&shifted, &size, sizeof shifted);
  shifted += 0.5f;
  uint32_t small;
  __builtin_memcpy(&small, &shifted, sizeof small);
  small -= 0x3f000000;
  const uint32_t half = size < (113u << 23) ? small : size >= (143u << 23) ? 0x7c00 : normal;
  result = static_cast<uint16_t>(sign | half);
}

template <class Element>
void write(void* out, int64_t at, const float* values, int64_t count) {
  Element* target = static_cast<Element*>(out) + at;
  for (int64_t i = 0; i < count; ++i) convert(values[i], target[i]);
}

void write_as(const Preprocess& args, int64_t at, const float* values, int64_t count) {
  if (args.output == Preprocess::kFloat16) return write<uint16_t>(args.out, at, values, count);
  if (args.output == Preprocess::kInt8) return write<int8_t>(args.out, at, values, count);
  write<float>(args.out, at, values, count);
}

// ---- a piece of work -------------------------------------------------------------------------------------------

// The memory of one call of `run`.
class Scratch {
 public:
  explicit Scratch(const Preprocess& args)
      : words_(rounded_up(maximum(args.windows[0] + args.columns[0].taps, 2 * (args.windows[1] + args.columns[1].taps)),
                          32)),
        floats_(rounded_up(args.width, kDots)),
        rows_(args.turned ? kRowsOfItem : 1) {
    const int64_t floats = 3 * rows_ * floats_ + (args.turned ? rows_ * args.width : 0);
    // Zeros: where a filter ends before the last of its taps, what is there is multiplied by zero.
    memory_ = static_cast<char*>(std::calloc(
        static_cast<size_t>(4 * words_) * sizeof(int16_t) + static_cast<size_t>(floats) * sizeof(float), 1));
    if (memory_ == nullptr) std::abort();
  }
  ~Scratch() { std::free(memory_); }
  Scratch(const Scratch&) = delete;

  int16_t* words(int plane) const { return reinterpret_cast<int16_t*>(memory_) + plane * words_; }
  float* pixels(int channel, int64_t row) const { return floats() + (channel * rows_ + row) * floats_; }
  int64_t pixel_step() const { return floats_; }
  float* turned() const { return floats() + 3 * rows_ * floats_; }

 private:
  float* floats() const { return reinterpret_cast<float*>(memory_ + 4 * words_ * sizeof(int16_t)); }

  const int64_t words_, floats_, rows_;
  char* memory_;
};

// Without the zeros after the last sample, whose rows might not exist.
int64_t taps_of(const PreprocessFilter& filter, int64_t row) {
  const int16_t* weights = filter.weights + row * filter.taps;
  int64_t taps = filter.taps;
  while (taps > 1 && weights[taps - 1] == 0) --taps;
  return taps;
}

void blend_plane(const Preprocess& args, int plane, int64_t row, int16_t* target, int64_t count) {
  const PreprocessFilter& filter = args.rows[plane > 0];
  SampleRows rows;
  rows.first = static_cast<const char*>(args.planes[plane]) + filter.first[row] * args.strides[plane];
  rows.stride = args.strides[plane];
  rows.weights = filter.weights + row * filter.taps;
  rows.taps = taps_of(filter, row);
  rows.shift = static_cast<int>(args.sample_shift);
  rows.lost = 0;
  for (int64_t tap = 0; tap < rows.taps; ++tap) rows.lost += rows.weights[tap] < 0 ? -1 : 1;
  rows.lost /= 2;
  rows.ahead = 0;
  if (row + 1 < args.height) {
    rows.ahead = filter.first[row + 1] + taps_of(filter, row + 1) - filter.first[row] - rows.taps;
  }
  if (args.sample_bytes == 2) {
    blend<uint16_t>(rows, target, count);
  } else {
    blend<uint8_t>(rows, target, count);
  }
}

void blend_planes(const Preprocess& args, int64_t row, const Scratch& scratch) {
  blend_plane(args, 0, row, scratch.words(0), args.windows[0]);
  const int64_t window = args.windows[1];
  if (!args.interleaved) {
    for (int plane = 1; plane < 3; ++plane) blend_plane(args, plane, row, scratch.words(plane), window);
    return;
  }
  const int16_t* both = scratch.words(3);
  blend_plane(args, 1, row, scratch.words(3), 2 * window);
  int16_t *u = scratch.words(1), *v = scratch.words(2);
  for (int64_t at = 0; at < window; ++at) {
    u[at] = both[2 * at];
    v[at] = both[2 * at + 1];
  }
}

// Fills rows of pixels, of which `targets` has one for each channel, to whole groups.
template <int kLumaBlocks, int kChromaBlocks>
void mix_pixels(const Preprocess& args, const Scratch& scratch, int64_t begin, int64_t end,
                float* const (&targets)[3]) {
  Floats color[3][4], low[3], high[3];
  for (int channel = 0; channel < 3; ++channel) {
    for (int i = 0; i < 4; ++i) color[channel][i] = args.color[channel][i] - Floats{};
    low[channel] = args.low[channel] - Floats{};
    high[channel] = args.high[channel] - Floats{};
  }
  for (int64_t at = begin; at < end; at += kDots) {
    Floats luma[1], chroma[2];
    filter_columns<1, kLumaBlocks>(args.columns[0], {scratch.words(0)}, at, luma);
    filter_columns<2, kChromaBlocks>(args.columns[1], {scratch.words(1), scratch.words(2)}, at, chroma);
    for (int channel = 0; channel < 3; ++channel) {
      const Floats(&each)[4] = color[channel];
      Floats value = each[3] + each[0] * luma[0] + each[1] * chroma[0] + each[2] * chroma[1];
      value = value < low[channel] ? low[channel] : value;
      value = value > high[channel] ? high[channel] : value;
      __builtin_memcpy(targets[channel] + at, &value, sizeof value);
    }
  }
}

// With the usual numbers of taps known when compiling.
void mix_pixels(const Preprocess& args, const Scratch& scratch, int64_t begin, int64_t end,
                float* const (&targets)[3]) {
  const int64_t luma = args.columns[0].taps / Preprocess::kTapBlock;
  const int64_t chroma = args.columns[1].taps / Preprocess::kTapBlock;
  if (luma == 1 && chroma == 1) return mix_pixels<1, 1>(args, scratch, begin, end, targets);
  if (luma == 2 && chroma == 1) return mix_pixels<2, 1>(args, scratch, begin, end, targets);
  if (luma == 2 && chroma == 2) return mix_pixels<2, 2>(args, scratch, begin, end, targets);
  if (luma == 3 && chroma == 2) return mix_pixels<3, 2>(args, scratch, begin, end, targets);
  mix_pixels<0, 0>(args, scratch, begin, end, targets);
}

void mix_row(const Preprocess& args, const Scratch& scratch, int64_t row) {
  // Whole groups of floats go where they belong, what is left through the scratch.
  const int64_t direct = args.output == Preprocess::kFloat32 ? args.width / kDots * kDots : 0;
  float *targets[3], *pixels[3];
  for (int channel = 0; channel < 3; ++channel) {
    targets[channel] = static_cast<float*>(args.out) + channel * args.channel_step + row * args.row_step;
    pixels[channel] = scratch.pixels(channel, 0);
  }
  mix_pixels(args, scratch, 0, direct, targets);
  mix_pixels(args, scratch, direct, args.width, pixels);
  for (int channel = 0; channel < 3; ++channel) {
    const int64_t at = channel * args.channel_step + row * args.row_step + direct;
    write_as(args, at, pixels[channel] + direct, args.width - direct);
  }
}

void write_turned(const Preprocess& args, const Scratch& scratch, int64_t first, int64_t rows) {
  for (int channel = 0; channel < 3; ++channel) {
    transpose(scratch.turned(), rows, scratch.pixels(channel, 0), scratch.pixel_step(), rows, args.width);
    for (int64_t column = 0; column < args.width; ++column) {
      const int64_t at = channel * args.channel_step + column * args.row_step + first;
      write_as(args, at, scratch.turned() + column * rows, rows);
    }
  }
}

}  // namespace

const char* why_not(const Preprocess& args) {
  if (args.height < 1 || args.width < 1) return "there must be a pixel";
  if (args.sample_bytes != 1 && args.sample_bytes != 2) return "samples must be bytes or words";
  if (args.sample_shift < 0 || args.sample_shift > 8) return "samples must have 8 to 16 bits";
  for (int plane = 0; plane < 2; ++plane) {
    const int64_t window = args.windows[plane], rows = args.rows[plane].taps, columns = args.columns[plane].taps;
    if (window < 1 || window > kMaxWindow) return "a row must have 1 to 65536 samples";
    if (rows < 1 || rows > kMaxTaps || columns < 1 || columns > kMaxTaps) return "filters must have 1 to 4096 taps";
    if (columns % Preprocess::kTapBlock) return "filters of columns must have whole blocks of taps";
  }
  return nullptr;
}

int64_t work_items(const Preprocess& args) { return ceil_div(args.height, kRowsOfItem); }

void run(const Preprocess& args, int64_t begin, int64_t end) {
  const Scratch scratch(args);
  for (int64_t first = begin * kRowsOfItem; first < minimum(end * kRowsOfItem, args.height); first += kRowsOfItem) {
    const int64_t rows = minimum(kRowsOfItem, args.height - first);
    for (int64_t row = 0; row < rows; ++row) {
      blend_planes(args, first + row, scratch);
      if (args.turned) {
        mix_pixels(args, scratch, 0, args.width,
                   {scratch.pixels(0, row), scratch.pixels(1, row), scratch.pixels(2, row)});
      } else {
        mix_row(args, scratch, first + row);
      }
    }
    if (args.turned) write_turned(args, scratch, first, rows);
  }
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
