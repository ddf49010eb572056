// Some blocks of the 1x1 convolution go to a scratch image with a border of zeros; the depthwise convolution reads
// it from there.
#include "../shift_conv/runs.h"
#include "shift_conv_depthwise.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// A scratch image (this many floats) should stay in L2.
constexpr int64_t kScratchFloats = 1 << 16;
// Few pieces would leave a thread idle at the end.
constexpr int64_t kEnoughPieces = 8;
constexpr int kTaps = 9;

// What lies between the rows of scratch and those of the 1x1 convolution's result: rows [first, last) of it, and a
// border on each side.
struct Rows {
  int64_t first, last;  // those that are inside
  int64_t top;          // the one in scratch row 0; less than `first` where the border is
  int64_t count;
};

Rows rows_of(const ShiftConvDepthwise& conv, int64_t first_out, int64_t last_out) {
  const int64_t top = first_out * conv.stride - 1, end = (last_out - 1) * conv.stride + 2;
  return {maximum(top, 0), minimum(end, conv.height), top, end - top};
}

void clear(float* from, int64_t floats) {
  for (int64_t i = 0; i < floats; i += kLanes) store(from + i, Vector{});
}

template <int kBlock>
void clear_borders(const ShiftConvDepthwise& conv, const Rows& rows, int64_t blocks, float* scratch) {
  const int64_t row = (conv.width + 2) * kBlock;
  for (int64_t block = 0; block < blocks; ++block) {
    float* image = scratch + block * rows.count * row;
    for (int64_t r = 0; r < rows.count; ++r) {
      const int64_t y = rows.top + r;
      if (y < 0 || y >= conv.height) {
        clear(image + r * row, row);
      } else {
        clear(image + r * row, kBlock);
        clear(image + (r + 1) * row - kBlock, kBlock);
      }
    }
  }
}

// The 1x1 convolution of `kBlocks` output blocks, beginning with `block`.
template <int kBlock, int kBlocks>
void expand(const ShiftConvDepthwise& conv, const Run* runs, int64_t run_count, int64_t block, const Rows& rows,
            float* scratch) {
  const ShiftConv& pointwise = conv.pointwise;
  const int64_t row = (conv.width + 2) * kBlock;
  Tile tile{};
  tile.runs = runs;
  tile.run_count = run_count;
  tile.planar_stride = pointwise.pixels;
  tile.weights_stride = pointwise.inputs * kBlock;
  tile.weights = pointwise.weights + block * tile.weights_stride;
  tile.bias = pointwise.bias == nullptr ? nullptr : pointwise.bias + block * kBlock;
  tile.y_stride = rows.count * row;
  tile.low = pointwise.low;
  tile.high = pointwise.high;
  tile.slope = pointwise.slope;
  for (int64_t y = rows.first; y < rows.last; ++y) {
    // Where pixel 0 of the image would be, for this row to land in its place.
    tile.y = scratch + (y - rows.top) * row + kBlock - y * conv.width * kBlock;
    run_tiles<kBlock, kBlocks>(tile, y * conv.width, (y + 1) * conv.width);
  }
}

template <int kBlock, int kStride, int kPixels>
void depthwise_pixels(const ShiftConvDepthwise& conv, const float* x, const float* weights, const Vector* bias,
                      float* y) {
  const int64_t row = (conv.width + 2) * kBlock;
  const Vector low = splat(conv.low), high = splat(conv.high);
  Vector sum[kPixels];
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) sum[p] = *bias;
#pragma GCC unroll 3
  for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
    for (int c = 0; c < 3; ++c) {
      const Vector w = load(weights + (r * 3 + c) * kBlock);
#pragma GCC unroll 16
      for (int p = 0; p < kPixels; ++p) sum[p] += w * load(x + r * row + (p * kStride + c) * kBlock);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) store(y + p * kBlock, smaller(larger(sum[p], low), high));
}

// A block of the depthwise convolution: rows [first, last) of y from scratch.
template <int kBlock, int kStride>
void depthwise(const ShiftConvDepthwise& conv, int64_t image, int64_t block, int64_t first, int64_t last,
               const float* scratch) {
  constexpr int kPixels = 7;
  const int64_t blocks = conv.pointwise.outputs / kBlock, width = conv.out_width();
  const int64_t row = (conv.width + 2) * kBlock;
  float* y = conv.y + (image * blocks + block) * conv.out_height() * width * kBlock;
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    const float* weights = conv.weights + block * kTaps * kBlock + lane;
    const Vector bias = load(conv.bias + block * kBlock + lane);
    for (int64_t r = first; r < last; ++r) {
      const float* x = scratch + (r - first) * kStride * row + lane;
      float* out = y + r * width * kBlock + lane;
      int64_t pixel = 0;
      for (; pixel + kPixels <= width; pixel += kPixels) {
        const float* from = x + pixel * kStride * kBlock;
        depthwise_pixels<kBlock, kStride, kPixels>(conv, from, weights, &bias, out + pixel * kBlock);
      }
      for (; pixel < width; ++pixel) {
        const float* from = x + pixel * kStride * kBlock;
        depthwise_pixels<kBlock, kStride, 1>(conv, from, weights, &bias, out + pixel * kBlock);
      }
    }
  }
}

template <int kBlock>
void run_piece(const ShiftConvDepthwise& conv, const DepthwisePieces& pieces, int64_t piece, float* scratch) {
  constexpr int kBlocks = max_tile_blocks<kBlock>();
  const int64_t blocks = conv.pointwise.outputs / kBlock, block_parts = ceil_div(blocks, pieces.blocks);
  const int64_t row_parts = ceil_div(conv.out_height(), pieces.rows);
  const int64_t first_block = piece % block_parts * pieces.blocks;
  const int64_t first_row = piece / block_parts % row_parts * pieces.rows;
  const int64_t image = piece / (block_parts * row_parts);
  const int64_t last_block = minimum(first_block + pieces.blocks, blocks);
  const int64_t last_row = minimum(first_row + pieces.rows, conv.out_height());

  auto* runs = static_cast<Run*>(__builtin_alloca(sizeof(Run) * most_runs(conv.pointwise.inputs, kBlock)));
  const int64_t run_count = find_runs<kBlock>(conv.pointwise, image, runs);
  const Rows rows = rows_of(conv, first_row, last_row);
  clear_borders<kBlock>(conv, rows, minimum(kBlocks, last_block - first_block), scratch);
  for (int64_t block = first_block; block < last_block; block += kBlocks) {
    const int64_t count = minimum(kBlocks, last_block - block);
    if (count == kBlocks) {
      expand<kBlock, kBlocks>(conv, runs, run_count, block, rows, scratch);
    } else {
      expand<kBlock, 1>(conv, runs, run_count, block, rows, scratch);
    }
    for (int64_t i = 0; i < count; ++i) {
      const float* from = scratch + i * rows.count * (conv.width + 2) * kBlock;
      if (conv.stride == 1) {
        depthwise<kBlock, 1>(conv, image, block + i, first_row, last_row, from);
      } else {
        depthwise<kBlock, 2>(conv, image, block + i, first_row, last_row, from);
      }
    }
  }
}

template <int kBlock>
DepthwisePieces cut(const ShiftConvDepthwise& conv) {
  constexpr int kBlocks = max_tile_blocks<kBlock>();
  const int64_t row = (conv.width + 2) * kBlock * kBlocks, height = conv.out_height();
  const int64_t blocks = conv.pointwise.outputs / kBlock;
  const int64_t fit = maximum(1, (kScratchFloats / row - 2) / conv.stride);
  DepthwisePieces pieces{};
  pieces.rows = ceil_div(height, ceil_div(height, fit));
  const int64_t parts = maximum(1, conv.pointwise.images * ceil_div(height, pieces.rows));
  const int64_t groups = minimum(ceil_div(blocks, kBlocks), ceil_div(kEnoughPieces, parts));
  pieces.blocks = ceil_div(ceil_div(blocks, kBlocks), groups) * kBlocks;
  pieces.count = conv.pointwise.images * ceil_div(height, pieces.rows) * ceil_div(blocks, pieces.blocks);
  pieces.scratch_floats = ((pieces.rows - 1) * conv.stride + 3) * row;
  return pieces;
}

}  // namespace

DepthwisePieces cut_depthwise(const ShiftConvDepthwise& conv) {
  if constexpr (kLanes <= 8) {
    if (conv.pointwise.block == 8) return cut<8>(conv);
  }
  return cut<16>(conv);
}

void run_depthwise(const ShiftConvDepthwise& conv, const DepthwisePieces& pieces, int64_t piece, float* scratch) {
  if constexpr (kLanes <= 8) {
    if (conv.pointwise.block == 8) return run_piece<8>(conv, pieces, piece, scratch);
  }
  run_piece<16>(conv, pieces, piece, scratch);
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
