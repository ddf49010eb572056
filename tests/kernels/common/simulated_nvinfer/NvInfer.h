// A SIMULATED NvInfer.h: edgevid's own declarations of the few interfaces of TensorRT that the plugins use.
//
// It is for tests on machines without TensorRT: the plugins compile against it and run_plugin.cpp drives them.
// Nothing here is TensorRT's code, and passing against it says nothing about TensorRT itself. Names, signatures
// and values are those of the public documentation. -DSIMULATED_TENSORRT=8 or 10 chooses the interfaces.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#define NV_TENSORRT_MAJOR SIMULATED_TENSORRT

namespace nvinfer1 {

enum class DataType : std::int32_t { kFLOAT = 0, kHALF = 1, kINT8 = 2, kINT32 = 3 };
enum class TensorFormat : std::int32_t { kLINEAR = 0, kCHW2 = 1, kHWC8 = 2, kCHW4 = 3, kCHW16 = 4, kCHW32 = 5 };
enum class PluginFieldType : std::int32_t { kFLOAT32 = 1, kINT32 = 5, kCHAR = 6, kUNKNOWN = 8 };
enum class DimensionOperation : std::int32_t { kSUM = 0, kPROD = 1, kSUB = 4, kFLOOR_DIV = 7 };

#if NV_TENSORRT_MAJOR >= 10
using Extent = std::int64_t;
#else
using Extent = std::int32_t;
#endif

struct Dims {
  static constexpr std::int32_t MAX_DIMS = 8;
  std::int32_t nbDims;
  Extent d[MAX_DIMS];
};

struct PluginTensorDesc {
  Dims dims;
  DataType type;
  TensorFormat format;
  float scale;
};

struct DynamicPluginTensorDesc {
  PluginTensorDesc desc;
  Dims min, max;
};

struct PluginField {
  const char* name;
  const void* data;
  PluginFieldType type;
  std::int32_t length;
  PluginField(const char* name_ = nullptr, const void* data_ = nullptr,
              PluginFieldType type_ = PluginFieldType::kUNKNOWN, std::int32_t length_ = 0)
      : name(name_), data(data_), type(type_), length(length_) {}
};

struct PluginFieldCollection {
  std::int32_t nbFields;
  const PluginField* fields;
};

class IDimensionExpr;

namespace apiv {
struct VDimensionExpr {
  virtual bool isConstant() const = 0;
  virtual Extent getConstantValue() const = 0;
};
struct VExprBuilder {
  virtual const IDimensionExpr* constant(Extent value) = 0;
  virtual const IDimensionExpr* operation(DimensionOperation, const IDimensionExpr&, const IDimensionExpr&) = 0;
};
}  // namespace apiv

class IDimensionExpr {
 public:
  bool isConstant() const { return mImpl->isConstant(); }
  Extent getConstantValue() const { return mImpl->getConstantValue(); }

 protected:
  apiv::VDimensionExpr* mImpl;
};

class IExprBuilder {
 public:
  const IDimensionExpr* constant(Extent value) { return mImpl->constant(value); }
  const IDimensionExpr* operation(DimensionOperation kind, const IDimensionExpr& a, const IDimensionExpr& b) {
    return mImpl->operation(kind, a, b);
  }

 protected:
  apiv::VExprBuilder* mImpl;
};

struct DimsExprs {
  std::int32_t nbDims;
  const IDimensionExpr* d[Dims::MAX_DIMS];
};

#if NV_TENSORRT_MAJOR >= 10

enum class PluginCapabilityType : std::int32_t { kCORE = 0, kBUILD = 1, kRUNTIME = 2 };
enum class TensorRTPhase : std::int32_t { kBUILD = 0, kRUNTIME = 1 };
class IPluginResourceContext;

class IPluginCapability {
 public:
  virtual ~IPluginCapability() = default;
};

class IPluginV3 {
 public:
  virtual ~IPluginV3() = default;
  virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;
  virtual IPluginV3* clone() noexcept = 0;
};

class IPluginV3OneCore : public IPluginCapability {
 public:
  virtual const char* getPluginName() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};

class IPluginV3OneBuild : public IPluginCapability {
 public:
  virtual std::int32_t configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t nbInputs,
                                       const DynamicPluginTensorDesc* out, std::int32_t nbOutputs) noexcept = 0;
  virtual std::int32_t getOutputDataTypes(DataType* outputTypes, std::int32_t nbOutputs, const DataType* inputTypes,
                                          std::int32_t nbInputs) const noexcept = 0;
  virtual std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t nbInputs, const DimsExprs* shapeInputs,
                                       std::int32_t nbShapeInputs, DimsExprs* outputs, std::int32_t nbOutputs,
                                       IExprBuilder& exprBuilder) noexcept = 0;
  virtual bool supportsFormatCombination(std::int32_t pos, const DynamicPluginTensorDesc* inOut, std::int32_t nbInputs,
                                         std::int32_t nbOutputs) noexcept = 0;
  virtual std::int32_t getNbOutputs() const noexcept = 0;
};

class IPluginV3OneRuntime : public IPluginCapability {
 public:
  virtual std::int32_t onShapeChange(const PluginTensorDesc* in, std::int32_t nbInputs, const PluginTensorDesc* out,
                                     std::int32_t nbOutputs) noexcept = 0;
  virtual std::int32_t enqueue(const PluginTensorDesc* inputDesc, const PluginTensorDesc* outputDesc,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept = 0;
  virtual IPluginV3* attachToContext(IPluginResourceContext* context) noexcept = 0;
  virtual const PluginFieldCollection* getFieldsToSerialize() noexcept = 0;
};

class IPluginCreatorV3One {
 public:
  virtual ~IPluginCreatorV3One() = default;
  virtual IPluginV3* createPlugin(const char* name, const PluginFieldCollection* fc, TensorRTPhase phase) noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual const char* getPluginName() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};
using AnyCreator = IPluginCreatorV3One;

#else

class IPluginV2 {
 public:
  virtual ~IPluginV2() = default;
  virtual const char* getPluginType() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual std::int32_t getNbOutputs() const noexcept = 0;
  virtual std::int32_t initialize() noexcept = 0;
  virtual void terminate() noexcept = 0;
  virtual std::size_t getSerializationSize() const noexcept = 0;
  virtual void serialize(void* buffer) const noexcept = 0;
  virtual void destroy() noexcept = 0;
  virtual void setPluginNamespace(const char* pluginNamespace) noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};

class IPluginV2DynamicExt : public IPluginV2 {
 public:
  virtual IPluginV2DynamicExt* clone() const noexcept = 0;
  virtual DataType getOutputDataType(std::int32_t index, const DataType* inputTypes,
                                     std::int32_t nbInputs) const noexcept = 0;
  virtual DimsExprs getOutputDimensions(std::int32_t outputIndex, const DimsExprs* inputs, std::int32_t nbInputs,
                                        IExprBuilder& exprBuilder) noexcept = 0;
  virtual bool supportsFormatCombination(std::int32_t pos, const PluginTensorDesc* inOut, std::int32_t nbInputs,
                                         std::int32_t nbOutputs) noexcept = 0;
  virtual void configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t nbInputs,
                               const DynamicPluginTensorDesc* out, std::int32_t nbOutputs) noexcept = 0;
  virtual std::size_t getWorkspaceSize(const PluginTensorDesc* inputs, std::int32_t nbInputs,
                                       const PluginTensorDesc* outputs, std::int32_t nbOutputs) const noexcept = 0;
  virtual std::int32_t enqueue(const PluginTensorDesc* inputDesc, const PluginTensorDesc* outputDesc,
                               const void* const* inputs, void* const* outputs, void* workspace,
                               cudaStream_t stream) noexcept = 0;
};

class IPluginCreator {
 public:
  virtual ~IPluginCreator() = default;
  virtual const char* getPluginName() const noexcept = 0;
  virtual const char* getPluginVersion() const noexcept = 0;
  virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
  virtual IPluginV2* createPlugin(const char* name, const PluginFieldCollection* fc) noexcept = 0;
  virtual IPluginV2* deserializePlugin(const char* name, const void* data, std::size_t length) noexcept = 0;
  virtual void setPluginNamespace(const char* pluginNamespace) noexcept = 0;
  virtual const char* getPluginNamespace() const noexcept = 0;
};
using AnyCreator = IPluginCreator;

#endif

class IPluginRegistry {
 public:
  virtual ~IPluginRegistry() = default;
  virtual bool registerCreator(AnyCreator& creator, const char* pluginNamespace) noexcept = 0;
};

}  // namespace nvinfer1

extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept;
