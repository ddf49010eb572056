// Does with a plugin what TensorRT does from parsing to inference, on the CPU by the emulated kernels: finds its
// creator, gives it a node's attributes, asks for shapes, types and formats, clones, serialises, destroys,
// deserialises and enqueues. One program with all plugins, for the simulated NvInfer.h or a real one.
#include <NvInfer.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace {
using namespace nvinfer1;

#if NV_TENSORRT_MAJOR >= 10
using CreatorInterface = IPluginCreatorV3One;
#else
using CreatorInterface = IPluginCreator;
#endif

// By "namespace::name".
std::map<std::string, CreatorInterface*>& creators() {
  static std::map<std::string, CreatorInterface*> all;
  return all;
}
}  // namespace

#ifdef SIMULATED_TENSORRT
struct SimulatedRegistry : IPluginRegistry {
  bool registerCreator(AnyCreator& creator, const char* space) noexcept override {
    return creators().emplace(std::string(space) + "::" + creator.getPluginName(), &creator).second;
  }
};

extern "C" IPluginRegistry* getPluginRegistry() noexcept {
  static SimulatedRegistry registry;
  return &registry;
}
#else
// A real registry is TensorRT's own.
template <class Creator>
struct Collected {
  Collected() { creators()[std::string("edgevid::") + creator.getPluginName()] = &creator; }
  Creator creator;
};
#define EDGEVID_REGISTER_PLUGIN(Op) static Collected<::edgevid::plugin::Creator<Op>> collected_##Op
#endif

#include "channel_conv/tensorrt_plugin.cu"
#ifdef FUSED_PLUGIN
#include "shift_conv/tensorrt_plugin.cu"
#endif
#include "temporal_conv/tensorrt_plugin.cu"
#include "temporal_shift/tensorrt_plugin.cu"

namespace {

using Extent = std::decay<decltype(Dims().d[0])>::type;

// Dimensions that are known, as in networks of static shape.
struct Number : IDimensionExpr {
  struct Value : apiv::VDimensionExpr {
    Extent value = 0;
    bool isConstant() const noexcept override { return true; }
    Extent getConstantValue() const noexcept override { return value; }
#if NV_TENSORRT_MAJOR >= 10 && !defined(SIMULATED_TENSORRT)
    bool isSizeTensor() const noexcept override { return false; }
#endif
  } value;
  explicit Number(Extent number) {
    value.value = number;
    mImpl = &value;
  }
};

struct Numbers : IExprBuilder {
  struct Builder : apiv::VExprBuilder {
    std::deque<std::unique_ptr<Number>> all;
    const IDimensionExpr* constant(Extent value) noexcept override {
      all.emplace_back(new Number(value));
      return all.back().get();
    }
    const IDimensionExpr* operation(DimensionOperation kind, const IDimensionExpr& first,
                                    const IDimensionExpr& second) noexcept override {
      const Extent a = first.getConstantValue(), b = second.getConstantValue();
      switch (kind) {
        case DimensionOperation::kSUM:
          return constant(a + b);
        case DimensionOperation::kSUB:
          return constant(a - b);
        case DimensionOperation::kPROD:
          return constant(a * b);
        default:
          return constant(a / b - (a % b < 0));
      }
    }
#if NV_TENSORRT_MAJOR >= 10 && !defined(SIMULATED_TENSORRT)
    const IDimensionExpr* declareSizeTensor(std::int32_t, const IDimensionExpr& a,
                                            const IDimensionExpr&) noexcept override {
      return &a;
    }
#endif
  } builder;
  Numbers() { mImpl = &builder; }
};

DimsExprs expressions_of(const Dims& dims, Numbers& numbers) {
  DimsExprs result{};
  result.nbDims = dims.nbDims;
  for (int i = 0; i < dims.nbDims; ++i) result.d[i] = numbers.constant(dims.d[i]);
  return result;
}

// As ctypes gives it.
struct Tensor {
  std::int32_t type, format, rank;
  std::int64_t dims[8];
  float scale;
  void* data;
};

PluginTensorDesc desc_of(const Tensor& tensor) {
  PluginTensorDesc desc{};
  desc.type = static_cast<DataType>(tensor.type);
  desc.format = static_cast<TensorFormat>(tensor.format);
  desc.scale = tensor.scale;
  desc.dims.nbDims = tensor.rank;
  for (int i = 0; i < tensor.rank; ++i) desc.dims.d[i] = static_cast<Extent>(tensor.dims[i]);
  return desc;
}

struct Node {
  std::vector<PluginField> fields;
  std::vector<PluginTensorDesc> descs;  // of inputs, then of outputs
  std::vector<DynamicPluginTensorDesc> dynamic;
  std::vector<DimsExprs> input_shapes;
  std::vector<DataType> input_types;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  Numbers numbers;

  PluginFieldCollection collection() const { return {static_cast<std::int32_t>(fields.size()), fields.data()}; }
  int input_count() const { return static_cast<int>(inputs.size()); }
  int output_count() const { return static_cast<int>(outputs.size()); }

  bool is_shape(int output, const DimsExprs& shape) const {
    const Dims& wanted = descs[inputs.size() + output].dims;
    if (shape.nbDims != wanted.nbDims) return false;
    for (int i = 0; i < shape.nbDims; ++i) {
      if (shape.d[i]->getConstantValue() != wanted.d[i]) return false;
    }
    return true;
  }
};

#if NV_TENSORRT_MAJOR >= 10
template <class Interface>
Interface* capability(IPluginV3& plugin, PluginCapabilityType type) {
  return static_cast<Interface*>(plugin.getCapabilityInterface(type));
}

const char* run(CreatorInterface& creator, Node& node) {
  const PluginFieldCollection given = node.collection();
  std::unique_ptr<IPluginV3> made(creator.createPlugin("node", &given, TensorRTPhase::kBUILD));
  if (!made) return "the creator refuses the attributes";
  std::unique_ptr<IPluginV3> plugin(made->clone());
  made.reset();
  auto* build = capability<IPluginV3OneBuild>(*plugin, PluginCapabilityType::kBUILD);
  const int inputs = node.input_count(), outputs = node.output_count();
  if (build->getNbOutputs() != outputs) return "another number of outputs";
  std::vector<DataType> types(outputs);
  build->getOutputDataTypes(types.data(), outputs, node.input_types.data(), inputs);
  std::vector<DimsExprs> shapes(outputs);
  build->getOutputShapes(node.input_shapes.data(), inputs, nullptr, 0, shapes.data(), outputs, node.numbers);
  for (int i = 0; i < outputs; ++i) {
    if (types[i] != node.descs[inputs + i].type) return "another output type";
    if (!node.is_shape(i, shapes[i])) return "another output shape";
  }
  for (int i = 0; i < inputs + outputs; ++i) {
    if (!build->supportsFormatCombination(i, node.dynamic.data(), inputs, outputs))
      return "the format is not supported";
  }
  build->configurePlugin(node.dynamic.data(), inputs, node.dynamic.data() + inputs, outputs);
  const auto* core = capability<IPluginV3OneCore>(*plugin, PluginCapabilityType::kCORE);
  if (std::string(core->getPluginName()) != creator.getPluginName()) return "another name";
  // What is serialised is copied: the plugin that wrote it is gone when it is read.
  const PluginFieldCollection* fields =
      capability<IPluginV3OneRuntime>(*plugin, PluginCapabilityType::kRUNTIME)->getFieldsToSerialize();
  std::vector<std::int32_t> numbers(fields->nbFields);
  std::vector<PluginField> written;
  for (int i = 0; i < fields->nbFields; ++i) {
    numbers[i] = *static_cast<const std::int32_t*>(fields->fields[i].data);
    written.emplace_back(fields->fields[i].name, &numbers[i], fields->fields[i].type, fields->fields[i].length);
  }
  plugin.reset();
  const PluginFieldCollection serialised{static_cast<std::int32_t>(written.size()), written.data()};
  std::unique_ptr<IPluginV3> loaded(creator.createPlugin("node", &serialised, TensorRTPhase::kRUNTIME));
  if (!loaded) return "the creator refuses what the plugin serialised";
  std::unique_ptr<IPluginV3> attached(
      capability<IPluginV3OneRuntime>(*loaded, PluginCapabilityType::kRUNTIME)->attachToContext(nullptr));
  loaded.reset();
  auto* runtime = capability<IPluginV3OneRuntime>(*attached, PluginCapabilityType::kRUNTIME);
  const int error = runtime->enqueue(node.descs.data(), node.descs.data() + inputs, node.inputs.data(),
                                     node.outputs.data(), nullptr, nullptr);
  return error ? "enqueue fails" : nullptr;
}
#else
struct Destroy {
  void operator()(IPluginV2* plugin) const { plugin->destroy(); }
};
using PluginPointer = std::unique_ptr<IPluginV2DynamicExt, Destroy>;

PluginPointer dynamic(IPluginV2* plugin) { return PluginPointer(static_cast<IPluginV2DynamicExt*>(plugin)); }

const char* run(CreatorInterface& creator, Node& node) {
  const PluginFieldCollection given = node.collection();
  PluginPointer made = dynamic(creator.createPlugin("node", &given));
  if (!made) return "the creator refuses the attributes";
  PluginPointer plugin(made->clone());
  made.reset();
  const int inputs = node.input_count(), outputs = node.output_count();
  if (plugin->getNbOutputs() != outputs) return "another number of outputs";
  for (int i = 0; i < outputs; ++i) {
    if (plugin->getOutputDataType(i, node.input_types.data(), inputs) != node.descs[inputs + i].type)
      return "another output type";
    if (!node.is_shape(i, plugin->getOutputDimensions(i, node.input_shapes.data(), inputs, node.numbers)))
      return "another output shape";
  }
  for (int i = 0; i < inputs + outputs; ++i) {
    if (!plugin->supportsFormatCombination(i, node.descs.data(), inputs, outputs)) return "the format is not supported";
  }
  plugin->configurePlugin(node.dynamic.data(), inputs, node.dynamic.data() + inputs, outputs);
  if (std::string(plugin->getPluginType()) != creator.getPluginName()) return "another name";
  std::vector<char> serialised(plugin->getSerializationSize());
  plugin->serialize(serialised.data());
  plugin.reset();
  if (creator.deserializePlugin("node", serialised.data(), serialised.size() - 1)) return "a cut plugin is taken";
  PluginPointer loaded = dynamic(creator.deserializePlugin("node", serialised.data(), serialised.size()));
  if (!loaded) return "the creator refuses what the plugin serialised";
  if (loaded->initialize()) return "initialize fails";
  const int error = loaded->enqueue(node.descs.data(), node.descs.data() + inputs, node.inputs.data(),
                                    node.outputs.data(), nullptr, nullptr);
  return error ? "enqueue fails" : nullptr;
}
#endif

}  // namespace

// The names with their namespaces, a line for each.
extern "C" const char* plugin_names() {
  static std::string names;
  names.clear();
  for (const auto& entry : creators()) names += entry.first + "\n";
  return names.c_str();
}

extern "C" int tensorrt_major() { return NV_TENSORRT_MAJOR; }

// Null if all went well, else what did not. Tensors are inputs, then outputs.
extern "C" const char* run_plugin(const char* name, int attributes, const char* const* keys, const std::int32_t* values,
                                  int inputs, int outputs, const Tensor* tensors) {
  const auto found = creators().find(name);
  if (found == creators().end()) return "no such plugin";
  Node node;
  // The parser hands over the attributes that the creator names.
  const PluginFieldCollection* names = found->second->getFieldNames();
  for (int i = 0; i < names->nbFields; ++i) {
    for (int j = 0; j < attributes; ++j) {
      if (std::string(names->fields[i].name) == keys[j])
        node.fields.emplace_back(keys[j], &values[j], PluginFieldType::kINT32, 1);
    }
  }
  for (int i = 0; i < inputs + outputs; ++i) {
    const PluginTensorDesc desc = desc_of(tensors[i]);
    node.descs.push_back(desc);
    DynamicPluginTensorDesc dynamic_desc{};
    dynamic_desc.desc = desc;
    dynamic_desc.min = dynamic_desc.max = desc.dims;
    node.dynamic.push_back(dynamic_desc);
    if (i >= inputs) {
      node.outputs.push_back(tensors[i].data);
      continue;
    }
    node.inputs.push_back(tensors[i].data);
    node.input_types.push_back(desc.type);
    node.input_shapes.push_back(expressions_of(desc.dims, node.numbers));
  }
  return run(*found->second, node);
}
