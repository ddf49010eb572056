// The ops edgevid.ChannelConv and edgevid.UnsharedChannelConv of ONNX Runtime.
#include "../common/ort/registry.h"
#include "channel_conv.h"

namespace edgevid {
namespace {

// MACs that are worth waking a thread.
constexpr int64_t kPieceMacs = 1 << 16;

template <bool kUnshared>
class Op : public ort::Signature<3, 2> {
 public:
  static constexpr const char* kName = kUnshared ? "UnsharedChannelConv" : "ChannelConv";

  // How many steps a shared filter takes depends on attributes, which are not handed to this function.
  static void infer(const ort::Shapes& shapes) {
    if constexpr (kUnshared) {
      const ort::Shape weights = shapes.input(1);
      ort::Shape shape = shapes.input(0);
      shape.at(1) = weights.at(0) * weights.at(2);
      shapes.set_output(0, shape);
    }
  }

  explicit Op(const ort::Attributes& attributes) : isa_(select_isa()) {
    conv_.stride = attributes.integer("stride");
    conv_.pad_begin = attributes.integer("pad_begin");
    conv_.pad_end = attributes.integer("pad_end");
    conv_.unshared = kUnshared;
  }

  // x is (images, channels, ...).
  void compute(const ort::Context& context) const {
    const ort::Tensor x = context.input(0), weights = context.input(1), bias = context.input(2);
    ort::require(x.shape.size() >= 2 && weights.shape.size() == (kUnshared ? 3 : 2), "x or weights have other axes");
    ChannelConv conv = conv_;
    conv.batch = x.shape[0];
    conv.channels = x.shape[1];
    conv.pixels = x.elements_from(2);
    conv.filters = weights.shape[0];
    conv.taps = weights.shape[1];
    if (const char* reason = EDGEVID_DISPATCH(isa_, why_not(conv))) ort::require(false, reason);
    const int64_t outputs = EDGEVID_DISPATCH(isa_, outputs_of(conv)), own = kUnshared ? outputs : 1;
    ort::require(weights.elements_from(2) == own, "weights must be (filters, taps, outputs)");
    ort::require(bias.data == nullptr || bias.elements_from(0) == conv.filters * own, "bias does not fit the weights");
    conv.x = x.data;
    conv.weights = weights.data;
    conv.bias = bias.data;
    ort::Shape shape = x.shape;
    shape[1] = conv.filters * outputs;
    conv.y = context.output(0, std::move(shape)).data;
    const int64_t macs = conv.batch * conv.filters * outputs * conv.taps * conv.pixels;
    context.parallel_ranges(EDGEVID_DISPATCH(isa_, work_items(conv)), macs / kPieceMacs,
                            [&](int64_t begin, int64_t end) { EDGEVID_DISPATCH(isa_, run(conv, begin, end)); });
  }

 private:
  ChannelConv conv_{};
  Isa isa_;
};

const ort::Registration<Op<false>> channel_conv;
const ort::Registration<Op<true>> unshared_channel_conv;

}  // namespace
}  // namespace edgevid
