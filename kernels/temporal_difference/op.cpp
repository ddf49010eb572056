// The ops edgevid.TemporalDifference and edgevid.TemporalDifferenceStep of ONNX Runtime: subtractions, which
// memory is slower than on any instruction set.
#include <cstring>

#include "../common/ort/registry.h"

namespace edgevid {
namespace {

// Subtractions that are worth a thread's while.
constexpr int64_t kPieceFloats = 1 << 15;

class TemporalDifference : public ort::Signature<2, 2> {
 public:
  static constexpr const char* kName = "TemporalDifference";

  explicit TemporalDifference(const ort::Attributes& attributes)
      : frames_(attributes.integer("frames")), causal_(attributes.integer("causal") != 0) {
    ort::require(frames_ >= 1, "frames must be positive");
  }

  // Both inputs are (images, ...), in whatever layout they share.
  void compute(const ort::Context& context) const {
    const ort::Tensor later = context.input(0), earlier = context.input(1);
    ort::require(!later.shape.empty() && later.shape[0] % frames_ == 0, "images are not whole clips");
    ort::require(later.shape == earlier.shape, "both inputs must have the same shape");
    float* y = context.output(0, later.shape).data;
    const int64_t image = later.elements_from(1), count = later.elements_from(0);
    context.parallel_ranges(count, count / kPieceFloats, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end;) {
        const int64_t frame = at / image % frames_, rest = (at / image + 1) * image - at;
        const int64_t size = std::min(rest, end - at);
        const int64_t before = causal_ ? frame - 1 : frame;  // the difference from this frame to the next
        if (0 <= before && before + 1 < frames_) {
          const float* a = later.data + at + (causal_ ? 0 : image);
          const float* b = earlier.data + at - (causal_ ? image : 0);
          for (int64_t i = 0; i < size; ++i) y[at + i] = a[i] - b[i];
        } else {
          std::memset(y + at, 0, static_cast<size_t>(size) * sizeof(float));
        }
        at += size;
      }
    });
  }

 private:
  int64_t frames_;
  bool causal_;
};

class TemporalDifferenceStep : public ort::Signature<3, 3, 2> {
 public:
  static constexpr const char* kName = "TemporalDifferenceStep";

  explicit TemporalDifferenceStep(const ort::Attributes&) {}

  // later and earlier are (images, channels, ...); state has a channel more, which is 1 where there was a frame.
  void compute(const ort::Context& context) const {
    const ort::Tensor later = context.input(0), state = context.input(1), earlier = context.input(2);
    ort::require(later.shape.size() >= 2 && later.shape == earlier.shape, "both features must have the same shape");
    ort::Shape expected = later.shape;
    ++expected[1];
    ort::require(state.shape == expected, "state must have a channel more than the features");
    float* y = context.output(0, later.shape).data;
    float* next_state = context.output(1, expected).data;
    const int64_t image = later.elements_from(1), plane = later.elements_from(2), channels = later.shape[1];
    const int64_t planes = later.shape[0] * channels;
    context.parallel_ranges(planes, planes * plane / kPieceFloats, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t before = i / channels * (image + plane);
        const int64_t in_state = before + i % channels * plane;
        const float* valid = state.data + before + image;
        for (int64_t pixel = 0; pixel < plane; ++pixel) {
          y[i * plane + pixel] = (later.data[i * plane + pixel] - state.data[in_state + pixel]) * valid[pixel];
        }
        std::memcpy(next_state + in_state, earlier.data + i * plane, static_cast<size_t>(plane) * sizeof(float));
      }
    });
    for (int64_t t = 0; t < later.shape[0]; ++t) {
      std::fill_n(next_state + t * (image + plane) + image, plane, 1.0f);
    }
  }
};

const ort::Registration<TemporalDifference> temporal_difference;
const ort::Registration<TemporalDifferenceStep> temporal_difference_step;

}  // namespace
}  // namespace edgevid
