// The ops edgevid.ChannelMean, edgevid.ImageMean and edgevid.Gate of ONNX Runtime: what excitations of features
// are made of, in blocks, so that nothing is re-ordered for them. Memory is slower than any instruction set.
#include <type_traits>

#include "../common/ort/registry.h"

namespace edgevid {
namespace {

// Floats that are worth a thread's while.
constexpr int64_t kPieceFloats = 1 << 15;
// Pixels whose sum is rounded to float before it is added to the rest.
constexpr int64_t kShortSum = 64;

// x is (images, channels, height, width) in blocks of channels: (images, channels / block, height, width, block).
struct Blocks {
  int64_t images, groups, pixels, block;

  Blocks(const ort::Shape& shape, int64_t block) : block(block) {
    ort::require(shape.size() == 4 && shape[1] % block == 0,
                 "x must be (images, channels, height, width), of whole blocks");
    images = shape[0];
    groups = shape[1] / block;
    pixels = shape[2] * shape[3];
  }

  int64_t channels() const { return groups * block; }
};

// Sizes that the compiler knows make vectors of the lanes.
template <typename Body>
void with_block(int64_t block, const Body& body) {
  if (block == 16) return body(std::integral_constant<int64_t, 16>());
  if (block == 8) return body(std::integral_constant<int64_t, 8>());
  ort::require(block == 1, "a block has 1, 8 or 16 channels");
  body(std::integral_constant<int64_t, 1>());
}

class ChannelMean : public ort::Signature<1, 1> {
 public:
  static constexpr const char* kName = "ChannelMean";

  static void infer(const ort::Shapes& shapes) {
    ort::Shape shape = shapes.input(0);
    shape.at(1) = 1;
    shapes.set_output(0, shape);
  }

  explicit ChannelMean(const ort::Attributes& attributes) : block_(attributes.integer("block")) {}

  // y is (images, 1, height, width).
  void compute(const ort::Context& context) const {
    const ort::Tensor x = context.input(0);
    with_block(block_, [&](auto size) {
      constexpr int64_t kBlock = decltype(size)::value;
      const Blocks blocks(x.shape, kBlock);
      float* y = context.output(0, {x.shape[0], 1, x.shape[2], x.shape[3]}).data;
      const int64_t count = blocks.images * blocks.pixels;
      const int64_t pieces = count * blocks.channels() / kPieceFloats;
      context.parallel_ranges(count, pieces, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; ++at) {
          const int64_t image = at / blocks.pixels, pixel = at % blocks.pixels;
          const float* from = x.data + (image * blocks.groups * blocks.pixels + pixel) * kBlock;
          float lanes[kBlock] = {};
          for (int64_t group = 0; group < blocks.groups; ++group, from += blocks.pixels * kBlock) {
            for (int64_t lane = 0; lane < kBlock; ++lane) lanes[lane] += from[lane];
          }
          float sum = 0;
          for (const float lane : lanes) sum += lane;
          y[at] = sum / static_cast<float>(blocks.channels());
        }
      });
    });
  }

 private:
  int64_t block_;
};

class ImageMean : public ort::Signature<1, 1> {
 public:
  static constexpr const char* kName = "ImageMean";

  static void infer(const ort::Shapes& shapes) {
    const ort::Shape shape = shapes.input(0);
    shapes.set_output(0, {shape.at(0), shape.at(1), 1, 1});
  }

  explicit ImageMean(const ort::Attributes& attributes) : block_(attributes.integer("block")) {}

  // y is (images, channels, 1, 1), which is the same in blocks.
  void compute(const ort::Context& context) const {
    const ort::Tensor x = context.input(0);
    with_block(block_, [&](auto size) {
      constexpr int64_t kBlock = decltype(size)::value;
      const Blocks blocks(x.shape, kBlock);
      float* y = context.output(0, {x.shape[0], x.shape[1], 1, 1}).data;
      const int64_t count = blocks.images * blocks.groups;
      const int64_t pieces = count * blocks.pixels * kBlock / kPieceFloats;
      context.parallel_ranges(count, pieces, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; ++at) {
          const float* from = x.data + at * blocks.pixels * kBlock;
          double sums[kBlock] = {};
          for (int64_t pixel = 0; pixel < blocks.pixels;) {
            const int64_t last = std::min(pixel + kShortSum, blocks.pixels);
            float lanes[kBlock] = {};
            for (; pixel < last; ++pixel, from += kBlock) {
              for (int64_t lane = 0; lane < kBlock; ++lane) lanes[lane] += from[lane];
            }
            for (int64_t lane = 0; lane < kBlock; ++lane) sums[lane] += lanes[lane];
          }
          for (int64_t lane = 0; lane < kBlock; ++lane) {
            y[at * kBlock + lane] = static_cast<float>(sums[lane] / static_cast<double>(blocks.pixels));
          }
        }
      });
    });
  }

 private:
  int64_t block_;
};

class Gate : public ort::Signature<3, 2, 1, 0> {
 public:
  static constexpr const char* kName = "Gate";

  explicit Gate(const ort::Attributes& attributes) : block_(attributes.integer("block")) {}

  // of_channels is (images, channels, 1, 1), of_pixels (images, 1, height, width) or left out.
  void compute(const ort::Context& context) const {
    const ort::Tensor x = context.input(0), of_channels = context.input(1), of_pixels = context.input(2);
    with_block(block_, [&](auto size) {
      constexpr int64_t kBlock = decltype(size)::value;
      const Blocks blocks(x.shape, kBlock);
      ort::require(of_channels.shape == ort::Shape{x.shape[0], x.shape[1], 1, 1}, "the channels' gates do not fit x");
      ort::require(of_pixels.data == nullptr || of_pixels.shape == ort::Shape{x.shape[0], 1, x.shape[2], x.shape[3]},
                   "the pixels' gates do not fit x");
      float* y = context.output(0, x.shape).data;
      const int64_t count = blocks.images * blocks.groups;
      const int64_t pieces = count * blocks.pixels * kBlock / kPieceFloats;
      context.parallel_ranges(count, pieces, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end; ++at) {
          const float* gates = of_channels.data + at * kBlock;
          const float* pixels = of_pixels.data;
          if (pixels != nullptr) pixels += at / blocks.groups * blocks.pixels;
          const int64_t start = at * blocks.pixels * kBlock;
          for (int64_t pixel = 0; pixel < blocks.pixels; ++pixel) {
            const float of_pixel = pixels == nullptr ? 0.0f : pixels[pixel];
            const float* from = x.data + start + pixel * kBlock;
            float* to = y + start + pixel * kBlock;
            for (int64_t lane = 0; lane < kBlock; ++lane) to[lane] = from[lane] * (gates[lane] + of_pixel);
          }
        }
      });
    });
  }

 private:
  int64_t block_;
};

const ort::Registration<ChannelMean> channel_mean;
const ort::Registration<ImageMean> image_mean;
const ort::Registration<Gate> gate;

}  // namespace
}  // namespace edgevid
