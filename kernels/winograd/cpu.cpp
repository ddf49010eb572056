// Tiles of x to points, one matrix product for each point, points to tiles of y.
#include "../shift_conv/tile.h"
#include "transform.h"
#include "winograd.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// A piece reads all its filters, so it should hold many tiles; and its scratch should stay in the caches.
constexpr int64_t kScratchFloats = 1 << 18;
constexpr int64_t kFewestTiles = 28;
// Few pieces would leave a thread idle at the end.
constexpr int64_t kEnoughPieces = 8;

struct Position {
  int64_t image, row, column;  // of the first output of a tile
};

int64_t tiles_of(int64_t size) { return ceil_div(size, kTileOut); }

Position position_of(const WinogradConv& conv, int64_t tile) {
  const int64_t across = tiles_of(conv.width), down = tiles_of(conv.height);
  return {tile / (across * down), tile / across % down * kTileOut, tile % across * kTileOut};
}

// A tile of all input channels to its points: `points` is (kPoints, inputs / block, tiles, block), at this tile.
template <int kBlock>
void transform_inputs(const WinogradConv& conv, int64_t tile, int64_t tiles, float* points) {
  static const float kZeros[kBlock] = {};
  const Position at = position_of(conv, tile);
  const int64_t pixels = conv.height * conv.width, blocks = conv.inputs / kBlock;
  int64_t offsets[kTileIn][kTileIn];
  for (int r = 0; r < kTileIn; ++r) {
    for (int c = 0; c < kTileIn; ++c) {
      const int64_t row = at.row + r - 1, column = at.column + c - 1;
      const bool inside = 0 <= row && row < conv.height && 0 <= column && column < conv.width;
      offsets[r][c] = inside ? (row * conv.width + column) * kBlock : -1;
    }
  }
  for (int64_t block = 0; block < blocks; ++block) {
    const float* x = conv.x + (at.image * blocks + block) * pixels * kBlock;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vector half[kTileIn][kTileIn];
#pragma GCC unroll 6
      for (int r = 0; r < kTileIn; ++r) {
        Vector line[kTileIn];
#pragma GCC unroll 6
        for (int c = 0; c < kTileIn; ++c) {
          line[c] = load((offsets[r][c] < 0 ? kZeros : x + offsets[r][c]) + lane);
        }
        to_points(line, half[r]);
      }
      float* v = points + block * tiles * kBlock + lane;
      const int64_t stride = blocks * tiles * kBlock;
#pragma GCC unroll 6
      for (int c = 0; c < kTileIn; ++c) {
        Vector line[kTileIn], out[kTileIn];
#pragma GCC unroll 6
        for (int r = 0; r < kTileIn; ++r) line[r] = half[r][c];
        to_points(line, out);
#pragma GCC unroll 6
        for (int r = 0; r < kTileIn; ++r) store(v + (r * kTileIn + c) * stride, out[r]);
      }
    }
  }
}

// Some output blocks of a tile from their points: `points` is (kPoints, blocks, tiles, block), at this tile.
template <int kBlock>
void transform_outputs(const WinogradConv& conv, int64_t tile, int64_t tiles, int64_t first, int64_t last,
                       const float* points) {
  const Position at = position_of(conv, tile);
  const int64_t pixels = conv.height * conv.width, stride = (last - first) * tiles * kBlock;
  const int64_t rows = minimum(kTileOut, conv.height - at.row), columns = minimum(kTileOut, conv.width - at.column);
  const Vector low = splat(conv.low), high = splat(conv.high);
  for (int64_t block = first; block < last; ++block) {
    const int64_t start = (at.image * conv.outputs / kBlock + block) * pixels + at.row * conv.width + at.column;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const float* m = points + (block - first) * tiles * kBlock + lane;
      const Vector bias = conv.bias == nullptr ? Vector{} : load(conv.bias + block * kBlock + lane);
      Vector half[kTileIn][kTileOut];
#pragma GCC unroll 6
      for (int r = 0; r < kTileIn; ++r) {
        Vector line[kTileIn];
#pragma GCC unroll 6
        for (int c = 0; c < kTileIn; ++c) line[c] = load(m + (r * kTileIn + c) * stride);
        from_points(line, half[r]);
      }
#pragma GCC unroll 4
      for (int c = 0; c < kTileOut; ++c) {
        if (c >= columns) break;
        Vector line[kTileIn], out[kTileOut];
#pragma GCC unroll 6
        for (int r = 0; r < kTileIn; ++r) line[r] = half[r][c];
        from_points(line, out);
#pragma GCC unroll 4
        for (int r = 0; r < kTileOut; ++r) {
          if (r >= rows) break;
          const int64_t pixel = (start + r * conv.width + c) * kBlock + lane;
          Vector total = out[r] + bias;
          if (conv.residual != nullptr) total += load(conv.residual + pixel);
          if (conv.slope != 1) total = larger(total, splat(conv.slope) * total);
          store(conv.y + pixel, smaller(larger(total, low), high));
        }
      }
    }
  }
}

// The product of one point: (outputs, inputs) times (inputs, tiles).
template <int kBlock>
void multiply(const WinogradConv& conv, int point, int64_t tiles, int64_t first, int64_t last, const float* in,
              float* out) {
  constexpr int kBlocks = max_tile_blocks<kBlock>();
  const int64_t input_blocks = conv.inputs / kBlock, output_blocks = conv.outputs / kBlock;
  auto* runs = static_cast<Run*>(__builtin_alloca(sizeof(Run) * input_blocks));
  for (int64_t i = 0; i < input_blocks; ++i) {
    runs[i] = {in + (point * input_blocks + i) * tiles * kBlock, i * kBlock, kBlock, false};
  }
  Tile tile{};
  tile.runs = runs;
  tile.run_count = input_blocks;
  tile.weights_stride = conv.inputs * kBlock;
  tile.y_stride = tiles * kBlock;
  tile.low = -__builtin_inff();
  tile.high = __builtin_inff();
  for (int64_t block = first; block < last;) {
    tile.weights = conv.weights + (point * output_blocks + block) * tile.weights_stride;
    tile.y = out + (point * (last - first) + block - first) * tile.y_stride;
    if (block + kBlocks <= last) {
      run_tiles<kBlock, kBlocks>(tile, 0, tiles);
      block += kBlocks;
    } else {
      run_tiles<kBlock, 1>(tile, 0, tiles);
      block += 1;
    }
  }
}

template <int kBlock>
void run_piece(const WinogradConv& conv, const WinogradPieces& pieces, int64_t piece, float* scratch) {
  const int64_t blocks = conv.outputs / kBlock, block_parts = ceil_div(blocks, pieces.blocks);
  const int64_t all_tiles = conv.images * tiles_of(conv.height) * tiles_of(conv.width);
  const int64_t first = piece % block_parts * pieces.blocks, last = minimum(first + pieces.blocks, blocks);
  const int64_t first_tile = piece / block_parts * pieces.tiles;
  const int64_t tiles = minimum(pieces.tiles, all_tiles - first_tile);
  float* in = scratch;
  float* out = scratch + kPoints * pieces.tiles * conv.inputs;
  for (int64_t t = 0; t < tiles; ++t) transform_inputs<kBlock>(conv, first_tile + t, tiles, in + t * kBlock);
  for (int point = 0; point < kPoints; ++point) multiply<kBlock>(conv, point, tiles, first, last, in, out);
  for (int64_t t = 0; t < tiles; ++t) {
    transform_outputs<kBlock>(conv, first_tile + t, tiles, first, last, out + t * kBlock);
  }
}

template <int kBlock>
WinogradPieces cut(const WinogradConv& conv) {
  constexpr int kBlocks = max_tile_blocks<kBlock>();
  const int64_t tiles = maximum(1, conv.images * tiles_of(conv.height) * tiles_of(conv.width));
  const int64_t blocks = conv.outputs / kBlock;
  const int64_t fit = maximum(kFewestTiles, kScratchFloats / kPoints / (conv.inputs + conv.outputs));
  const int64_t groups = ceil_div(tiles, fit);
  WinogradPieces pieces{};
  pieces.tiles = ceil_div(tiles, groups);
  const int64_t parts = minimum(ceil_div(blocks, kBlocks), ceil_div(kEnoughPieces, groups));
  pieces.blocks = ceil_div(ceil_div(blocks, kBlocks), parts) * kBlocks;
  pieces.count = ceil_div(tiles, pieces.tiles) * ceil_div(blocks, pieces.blocks);
  pieces.scratch_floats = kPoints * pieces.tiles * (conv.inputs + pieces.blocks * kBlock);
  return pieces;
}

}  // namespace

WinogradPieces cut_winograd(const WinogradConv& conv) {
  if constexpr (kLanes <= 8) {
    if (conv.block == 8) return cut<8>(conv);
  }
  return cut<16>(conv);
}

void run_winograd(const WinogradConv& conv, const WinogradPieces& pieces, int64_t piece, float* scratch) {
  if constexpr (kLanes <= 8) {
    if (conv.block == 8) return run_piece<8>(conv, pieces, piece, scratch);
  }
  run_piece<16>(conv, pieces, piece, scratch);
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
