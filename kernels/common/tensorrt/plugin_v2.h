// A plugin for TensorRT 8. Included by plugin.h.
#pragma once

namespace edgevid {
namespace plugin {

template <class Op>
class Plugin final : public nvinfer1::IPluginV2DynamicExt {
 public:
  explicit Plugin(const Values<Op>& values) : values_(values) {}

  // What `serialize` wrote: the number of integers, then they.
  static Plugin* deserialize(const void* data, std::size_t length) {
    std::int32_t count = 0;
    Values<Op> values;
    if (length != serialized_size()) return nullptr;
    std::memcpy(&count, data, sizeof count);
    if (count != static_cast<std::int32_t>(values.at.size())) return nullptr;
    std::memcpy(values.at.data(), static_cast<const char*>(data) + sizeof count, count * sizeof count);
    return new Plugin(values);
  }

  const char* getPluginType() const noexcept override { return Op::name(); }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  std::int32_t getNbOutputs() const noexcept override { return Op::kOutputs; }
  std::int32_t initialize() noexcept override { return 0; }
  void terminate() noexcept override {}
  void destroy() noexcept override { delete this; }
  void setPluginNamespace(const char*) noexcept override {}
  const char* getPluginNamespace() const noexcept override { return kNamespace; }
  nvinfer1::IPluginV2DynamicExt* clone() const noexcept override { return new Plugin(values_); }

  std::size_t getSerializationSize() const noexcept override { return serialized_size(); }
  void serialize(void* buffer) const noexcept override {
    const auto count = static_cast<std::int32_t>(values_.at.size());
    std::memcpy(buffer, &count, sizeof count);
    std::memcpy(static_cast<char*>(buffer) + sizeof count, values_.at.data(), count * sizeof count);
  }

  DataType getOutputDataType(std::int32_t, const DataType* types, std::int32_t) const noexcept override {
    return types[0];
  }
  DimsExprs getOutputDimensions(std::int32_t index, const DimsExprs* inputs, std::int32_t count,
                                nvinfer1::IExprBuilder& build) noexcept override {
    return Op::shape(index, inputs, count, values_, build);
  }
  bool supportsFormatCombination(std::int32_t position, const PluginTensorDesc* tensors, std::int32_t inputs,
                                 std::int32_t) noexcept override {
    return supports<Op>(position, tensors, inputs);
  }
  void configurePlugin(const nvinfer1::DynamicPluginTensorDesc*, std::int32_t inputs,
                       const nvinfer1::DynamicPluginTensorDesc*, std::int32_t) noexcept override {
    values_.set_inputs(inputs);
  }
  std::size_t getWorkspaceSize(const PluginTensorDesc*, std::int32_t, const PluginTensorDesc*,
                               std::int32_t) const noexcept override {
    return 0;
  }
  std::int32_t enqueue(const PluginTensorDesc* in, const PluginTensorDesc* out, const void* const* inputs,
                       void* const* outputs, void*, cudaStream_t stream) noexcept override {
    return Op::run(Call<Op>{values_, in, out, inputs, outputs, stream});
  }

 private:
  static constexpr std::size_t serialized_size() { return sizeof(std::int32_t) * (Op::kAttributes + 2); }

  Values<Op> values_;
};

template <class Op>
class Creator final : public nvinfer1::IPluginCreator {
 public:
  const char* getPluginName() const noexcept override { return Op::name(); }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const PluginFieldCollection* getFieldNames() noexcept override { return fields_.collection(); }
  void setPluginNamespace(const char*) noexcept override {}
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  nvinfer1::IPluginV2* createPlugin(const char*, const PluginFieldCollection* fields) noexcept override {
    Values<Op> values;
    return read<Op>(fields, values) ? new Plugin<Op>(values) : nullptr;
  }
  nvinfer1::IPluginV2* deserializePlugin(const char*, const void* data, std::size_t length) noexcept override {
    return Plugin<Op>::deserialize(data, length);
  }

 private:
  Fields<Op> fields_{Op::kAttributes};
};

}  // namespace plugin
}  // namespace edgevid
