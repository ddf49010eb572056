// A plugin for TensorRT 10 and later. Included by plugin.h.
#pragma once

namespace edgevid {
namespace plugin {

template <class Op>
class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::IPluginV3OneBuild,
                     public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit Plugin(const Values<Op>& values) : values_(values) {}

  nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override {
    if (type == nvinfer1::PluginCapabilityType::kCORE) return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    if (type == nvinfer1::PluginCapabilityType::kBUILD) return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  nvinfer1::IPluginV3* clone() noexcept override { return new Plugin(values_); }
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override { return clone(); }

  const char* getPluginName() const noexcept override { return Op::name(); }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  std::int32_t getNbOutputs() const noexcept override { return Op::kOutputs; }
  std::int32_t getOutputDataTypes(DataType* types, std::int32_t count, const DataType* inputs,
                                  std::int32_t) const noexcept override {
    for (std::int32_t i = 0; i < count; ++i) types[i] = inputs[0];
    return 0;
  }
  std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t input_count, const DimsExprs*, std::int32_t,
                               DimsExprs* outputs, std::int32_t output_count,
                               nvinfer1::IExprBuilder& build) noexcept override {
    for (std::int32_t i = 0; i < output_count; ++i) outputs[i] = Op::shape(i, inputs, input_count, values_, build);
    return 0;
  }
  bool supportsFormatCombination(std::int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 std::int32_t inputs, std::int32_t) noexcept override {
    return supports<Op>(position, tensors, inputs);
  }
  std::int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc*, std::int32_t inputs,
                               const nvinfer1::DynamicPluginTensorDesc*, std::int32_t) noexcept override {
    values_.set_inputs(inputs);
    return 0;
  }

  std::int32_t onShapeChange(const PluginTensorDesc*, std::int32_t inputs, const PluginTensorDesc*,
                             std::int32_t) noexcept override {
    values_.set_inputs(inputs);
    return 0;
  }
  std::int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out, const void* const* inputs,
                       void* const* outputs, void*, cudaStream_t stream) noexcept override {
    return Op::run(Call<Op>{values_, in, out, inputs, outputs, stream});
  }
  const PluginFieldCollection* getFieldsToSerialize() noexcept override { return fields_.collection(); }

 private:
  Values<Op> values_;
  Fields<Op> fields_{Op::kAttributes + 1, &values_};
};

template <class Op>
class Creator final : public nvinfer1::IPluginCreatorV3One {
 public:
  const char* getPluginName() const noexcept override { return Op::name(); }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }
  const PluginFieldCollection* getFieldNames() noexcept override { return fields_.collection(); }

  nvinfer1::IPluginV3* createPlugin(const char*, const PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase) noexcept override {
    Values<Op> values;
    return read<Op>(fields, values) ? new Plugin<Op>(values) : nullptr;
  }

 private:
  Fields<Op> fields_{Op::kAttributes};
};

}  // namespace plugin
}  // namespace edgevid
