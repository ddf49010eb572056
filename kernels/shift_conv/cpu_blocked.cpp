// The blocked layout of ONNX Runtime: x (images, inputs / block, pixels, block), y likewise.
#include "runs.h"
#include "shift_conv.h"

namespace edgevid::EDGEVID_ISA_NAMESPACE {
namespace {

// A piece's part of x (this many floats) stays in L2 while all output blocks read it.
constexpr int64_t kPieceFloats = 1 << 16;
// Few pieces would leave a thread idle at the end.
constexpr int64_t kEnoughPieces = 16;

template <int kBlock>
void run_piece(const ShiftConv& conv, const ShiftConvPieces& pieces, int64_t piece) {
  constexpr int kBlocks = max_tile_blocks<kBlock>();
  const int64_t blocks = conv.outputs / kBlock;
  const int64_t block_parts = ceil_div(blocks, pieces.blocks);
  const int64_t pixel_parts = ceil_div(conv.pixels, pieces.pixels);
  const int64_t first_block = piece % block_parts * pieces.blocks;
  const int64_t first_pixel = piece / block_parts % pixel_parts * pieces.pixels;
  const int64_t image = piece / (block_parts * pixel_parts);
  const int64_t last_block = minimum(first_block + pieces.blocks, blocks);
  const int64_t last_pixel = minimum(first_pixel + pieces.pixels, conv.pixels);

  auto* runs = static_cast<Run*>(__builtin_alloca(sizeof(Run) * most_runs(conv.inputs, kBlock)));
  Tile tile{};
  tile.runs = runs;
  tile.run_count = find_runs<kBlock>(conv, image, runs);
  tile.planar_stride = conv.pixels;
  tile.y_stride = conv.pixels * kBlock;
  tile.weights_stride = conv.inputs * kBlock;
  tile.low = conv.low;
  tile.high = conv.high;
  tile.slope = conv.slope;
  for (int64_t block = first_block; block < last_block;) {
    const int64_t at = (image * blocks + block) * tile.y_stride;
    tile.weights = conv.weights + block * tile.weights_stride;
    tile.bias = conv.bias == nullptr ? nullptr : conv.bias + block * kBlock;
    tile.residual = conv.residual == nullptr ? nullptr : conv.residual + at;
    tile.y = conv.y + at;
    if (block + kBlocks <= last_block) {
      run_tiles<kBlock, kBlocks>(tile, first_pixel, last_pixel);
      block += kBlocks;
    } else {
      run_tiles<kBlock, 1>(tile, first_pixel, last_pixel);
      block += 1;
    }
  }
}

template <int kBlock>
ShiftConvPieces cut(const ShiftConv& conv) {
  constexpr int kBlocks = max_tile_blocks<kBlock>();
  constexpr int kPixels = max_tile_pixels<kBlocks * kBlock / kLanes>();
  const int64_t blocks = conv.outputs / kBlock;
  ShiftConvPieces pieces{};
  const int64_t tiles = maximum(1, kPieceFloats / conv.inputs / kPixels);
  pieces.pixels = minimum(tiles * kPixels, maximum(1, conv.pixels));
  const int64_t parts = conv.images * ceil_div(conv.pixels, pieces.pixels);
  const int64_t wanted_parts = minimum(ceil_div(blocks, kBlocks), ceil_div(kEnoughPieces, maximum(1, parts)));
  pieces.blocks = ceil_div(ceil_div(blocks, kBlocks), wanted_parts) * kBlocks;
  pieces.count = parts * ceil_div(blocks, pieces.blocks);
  return pieces;
}

}  // namespace

ShiftConvPieces cut_blocked_conv(const ShiftConv& conv) {
  if constexpr (kLanes <= 8) {
    if (conv.block == 8) return cut<8>(conv);
  }
  return cut<16>(conv);
}

void run_blocked_conv(const ShiftConv& conv, const ShiftConvPieces& pieces, int64_t piece) {
  if constexpr (kLanes <= 8) {
    if (conv.block == 8) return run_piece<8>(conv, pieces, piece);
  }
  run_piece<16>(conv, pieces, piece);
}

}  // namespace edgevid::EDGEVID_ISA_NAMESPACE
