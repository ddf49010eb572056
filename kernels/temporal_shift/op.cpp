// The ops edgevid.TemporalShift and edgevid.TemporalShiftStep of ONNX Runtime: one read and one write per
// element, and nothing but the C library's memcpy, which already knows the processor.
#include <algorithm>
#include <cstring>

#include "../common/ort/registry.h"

namespace edgevid {
namespace {

// Copies that are worth a thread's while.
constexpr int64_t kPieceFloats = 1 << 16;

void copy(float* target, const float* source, int64_t count) {
  std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));
}

class TemporalShift : public ort::Signature<1, 1> {
 public:
  static constexpr const char* kName = "TemporalShift";

  explicit TemporalShift(const ort::Attributes& attributes)
      : frames_(attributes.integer("frames")),
        fold_(attributes.integer("fold")),
        first_(attributes.integer("first")),
        second_(attributes.integer("second")) {
    ort::require(frames_ >= 1 && fold_ >= 0, "frames and fold must not be negative");
  }

  // x is (images, channels, ...).
  void compute(const ort::Context& context) const {
    const ort::Tensor x = context.input(0);
    ort::require(x.shape.size() >= 2 && x.shape[0] % frames_ == 0, "images are not whole clips");
    ort::require(fold_ * (second_ != 0 ? 2 : 1) <= x.shape[1], "fold is too large");
    const int64_t inner = x.elements_from(2), image = x.elements_from(1);
    const int64_t ends[] = {fold_ * inner, std::min(2 * fold_ * inner, image), image};
    const int64_t offsets[] = {first_, second_, 0};
    float* y = context.output(0, x.shape).data;
    const int64_t parts = std::max<int64_t>(1, image / kPieceFloats);
    context.parallel_for(x.shape[0] * parts, [&](int64_t piece) {
      const int64_t t = piece / parts, part = piece % parts;
      const int64_t last = image * (part + 1) / parts;
      int64_t at = image * part / parts;
      for (int range = 0; range < 3; ++range) {
        const int64_t count = std::min(ends[range], last) - at;
        if (count <= 0) continue;
        const int64_t frame = t % frames_ + offsets[range];
        float* target = y + t * image + at;
        if (0 <= frame && frame < frames_) {
          copy(target, x.data + (t + offsets[range]) * image + at, count);
        } else {
          std::memset(target, 0, static_cast<size_t>(count) * sizeof(float));
        }
        at += count;
      }
    });
  }

 private:
  int64_t frames_, fold_, first_, second_;
};

class TemporalShiftStep : public ort::Signature<2, 2, 2> {
 public:
  static constexpr const char* kName = "TemporalShiftStep";

  explicit TemporalShiftStep(const ort::Attributes& attributes) : fold_(attributes.integer("fold")) {}

  // x is (images, channels, ...), state (images, fold, ...).
  void compute(const ort::Context& context) const {
    const ort::Tensor x = context.input(0), state = context.input(1);
    ort::require(x.shape.size() >= 2 && 0 <= fold_ && fold_ <= x.shape[1], "fold is too large");
    ort::Shape expected = x.shape;
    expected[1] = fold_;
    ort::require(state.shape == expected, "state must be the first fold channels of x");
    const int64_t image = x.elements_from(1), moved = state.elements_from(1);
    float* y = context.output(0, x.shape).data;
    float* next_state = context.output(1, expected).data;
    context.parallel_for(x.shape[0], [&](int64_t t) {
      copy(y + t * image, state.data + t * moved, moved);
      copy(y + t * image + moved, x.data + t * image + moved, image - moved);
      copy(next_state + t * moved, x.data + t * image, moved);
    });
  }

 private:
  int64_t fold_;
};

const ort::Registration<TemporalShift> temporal_shift;
const ort::Registration<TemporalShiftStep> temporal_shift_step;

}  // namespace
}  // namespace edgevid
