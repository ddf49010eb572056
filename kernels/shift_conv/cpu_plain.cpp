// Plain NCHW: a tile of outputs times pixels stays in registers over all input channels; a weight is one
// broadcast, and a shifted channel is a row of another frame.
#include "shift_conv.h"

#include "../common/ort/vector.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

constexpr int kTileOutputs = kRegisters == 32 ? 6 : 3;
constexpr int kTileVectors = kRegisters == 32 ? 4 : 3;
// Floats of a piece: its rows of all input channels should stay in L2.
constexpr int64_t kPieceFloats = 1 << 16;
constexpr int64_t kEnoughPieces = 16;

// Input channels [begin, end), rows of pixels that follow each other from `x`.
struct Rows {
  const float* x;
  int64_t begin, end;
};

int64_t find_rows(const ShiftConv& conv, int64_t image, Rows* rows) {
  const auto channels_of = [&](int64_t from, int64_t begin, int64_t end) {
    return Rows{conv.x + (from * conv.inputs + begin) * conv.pixels, begin, end};
  };
  int64_t count = 0, channel = 0;
  if (conv.state != nullptr) {
    rows[count++] = {conv.state + image * conv.fold * conv.pixels, 0, conv.fold};
    channel = conv.fold;
  } else {
    const int64_t offsets[] = {conv.first, conv.second};
    for (const int64_t offset : offsets) {
      const int64_t frame = image % conv.frames + offset, end = minimum(channel + conv.fold, conv.inputs);
      if (0 <= frame && frame < conv.frames) rows[count++] = channels_of(image + offset, channel, end);
      channel = end;
    }
  }
  rows[count++] = channels_of(image, channel, conv.inputs);
  return count;
}

inline void load_to(Vector& value, const float* address) { value = load(address); }
inline void load_to(float& value, const float* address) { value = *address; }
inline void store_from(float* address, Vector value) { store(address, value); }
inline void store_from(float* address, float value) { *address = value; }

// `Lane` is a vector of pixels, or one pixel for those that do not fill a vector.
template <typename Lane, int kOutputs, int kVectors>
void run_tile(const ShiftConv& conv, const Rows* rows, int64_t row_count, int64_t image, int64_t output,
              int64_t pixel) {
  constexpr int kWidth = sizeof(Lane) / sizeof(float);
  Lane sum[kOutputs][kVectors];
#pragma GCC unroll 8
  for (int o = 0; o < kOutputs; ++o) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[o][v] = Lane{} + (conv.bias == nullptr ? 0.0f : conv.bias[output + o]);
  }
  for (int64_t r = 0; r < row_count; ++r) {
    const float* x = rows[r].x + pixel;
    const float* weights = conv.weights + output * conv.inputs;
    for (int64_t c = rows[r].begin; c < rows[r].end; ++c, x += conv.pixels) {
      Lane lanes[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) load_to(lanes[v], x + v * kWidth);
#pragma GCC unroll 8
      for (int o = 0; o < kOutputs; ++o) {
        const float weight = weights[o * conv.inputs + c];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[o][v] += lanes[v] * weight;
      }
    }
  }
  const Lane low = Lane{} + conv.low, high = Lane{} + conv.high;
#pragma GCC unroll 8
  for (int o = 0; o < kOutputs; ++o) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = (image * conv.outputs + output + o) * conv.pixels + pixel + v * kWidth;
      Lane total = sum[o][v], residual{};
      if (conv.residual != nullptr) load_to(residual, conv.residual + at);
      total += residual;
      if (conv.slope != 1) total = total > conv.slope * total ? total : conv.slope * total;
      total = total > low ? total : low;
      store_from(conv.y + at, total < high ? total : high);
    }
  }
}

template <typename Lane, int kOutputs, int kVectors>
void run_outputs(const ShiftConv& conv, const Rows* rows, int64_t row_count, int64_t image, int64_t first, int64_t last,
                 int64_t pixel) {
  for (; first + kOutputs <= last; first += kOutputs) {
    run_tile<Lane, kOutputs, kVectors>(conv, rows, row_count, image, first, pixel);
  }
  if constexpr (kOutputs > 1) {
    run_outputs<Lane, kOutputs - 1, kVectors>(conv, rows, row_count, image, first, last, pixel);
  }
}

template <int kVectors>
int64_t run_vectors(const ShiftConv& conv, const Rows* rows, int64_t row_count, int64_t image, int64_t first,
                    int64_t last, int64_t pixel, int64_t last_pixel) {
  for (; pixel + kVectors * kLanes <= last_pixel; pixel += kVectors * kLanes) {
    run_outputs<Vector, kTileOutputs, kVectors>(conv, rows, row_count, image, first, last, pixel);
  }
  if constexpr (kVectors > 1) {
    pixel = run_vectors<kVectors - 1>(conv, rows, row_count, image, first, last, pixel, last_pixel);
  }
  return pixel;
}

}  // namespace

ShiftConvPieces cut_plain_conv(const ShiftConv& conv) {
  constexpr int64_t kStep = kTileVectors * kLanes;
  ShiftConvPieces pieces{};
  pieces.pixels = maximum(1, kPieceFloats / conv.inputs / kStep) * kStep;
  const int64_t parts = conv.images * ceil_div(conv.pixels, pieces.pixels);
  const int64_t tiles = ceil_div(conv.outputs, kTileOutputs);
  pieces.blocks = ceil_div(tiles, minimum(tiles, ceil_div(kEnoughPieces, maximum(1, parts)))) * kTileOutputs;
  pieces.count = parts * ceil_div(conv.outputs, pieces.blocks);
  return pieces;
}

void run_plain_conv(const ShiftConv& conv, const ShiftConvPieces& pieces, int64_t piece) {
  const int64_t output_parts = ceil_div(conv.outputs, pieces.blocks);
  const int64_t pixel_parts = ceil_div(conv.pixels, pieces.pixels);
  const int64_t first = piece % output_parts * pieces.blocks;
  const int64_t last = minimum(first + pieces.blocks, conv.outputs);
  const int64_t first_pixel = piece / output_parts % pixel_parts * pieces.pixels;
  const int64_t last_pixel = minimum(first_pixel + pieces.pixels, conv.pixels);
  const int64_t image = piece / (output_parts * pixel_parts);
  Rows rows[3];
  const int64_t row_count = find_rows(conv, image, rows);
  int64_t pixel = run_vectors<kTileVectors>(conv, rows, row_count, image, first, last, first_pixel, last_pixel);
  for (; pixel < last_pixel; ++pixel) {
    run_outputs<float, kTileOutputs, 1>(conv, rows, row_count, image, first, last, pixel);
  }
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
