// A TensorRT plugin around a CUDA kernel: what IPluginV2DynamicExt (TensorRT 8) and IPluginV3 (10 and later) share.
//
// An op is a structure of static functions:
//   name()                  the type of the ONNX node
//   kAttributes, attribute(i)   its attributes, which are integers
//   kInputs, kOutputs       inputs that must be there, and outputs
//   is_weight(input)        whether an input is always in plain layout
//   kPlain                  whether x may be in plain layout
//   takes(type)             element types; every tensor is of the same
//   takes(format, dims)     layouts of x other than the plain one; other tensors that are no weights have the same
//   shape(output, inputs, count, values, build)   the dimensions of an output
//   run(call)               the kernel
// C++14, as nvcc 10.2 of JetPack 4 takes it.
#pragma once

#include <NvInfer.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../cuda/device.cuh"

namespace edgevid {
namespace plugin {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::DimsExprs;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

constexpr const char* kVersion = "1";
constexpr const char* kNamespace = "edgevid";

// The attributes of a node, and its number of inputs, which enqueue does not receive.
template <class Op>
struct Values {
  std::array<std::int32_t, Op::kAttributes + 1> at{};

  std::int32_t inputs() const { return at[Op::kAttributes]; }
  void set_inputs(std::int32_t count) { at[Op::kAttributes] = count; }
  static const char* name(int i) { return i == Op::kAttributes ? "inputs" : Op::attribute(i); }
};

template <class Op>
struct Call {
  const Values<Op>& values;
  const PluginTensorDesc *in, *out;
  const void* const* inputs;
  void* const* outputs;
  cudaStream_t stream;

  const void* input_or_null(int i) const { return i < values.inputs() ? inputs[i] : nullptr; }
};

// The first `count` fields of an op; with data if there are values.
template <class Op>
class Fields {
 public:
  explicit Fields(int count, const Values<Op>* values = nullptr) {
    for (int i = 0; i < count; ++i) {
      fields_[i] = PluginField{Values<Op>::name(i), values ? &values->at[i] : nullptr, PluginFieldType::kINT32, 1};
    }
    collection_.nbFields = count;
    collection_.fields = fields_.data();
  }
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  const PluginFieldCollection* collection() const { return &collection_; }

 private:
  std::array<PluginField, Op::kAttributes + 1> fields_;
  PluginFieldCollection collection_{};
};

// Reads the attributes that the parser read from the node; false, and a line that says which, if one is missing.
template <class Op>
bool read(const PluginFieldCollection* collection, Values<Op>& values) {
  values.set_inputs(Op::kInputs);
  for (int i = 0; i <= Op::kAttributes; ++i) {
    bool present = i == Op::kAttributes;
    for (int j = 0; collection && j < collection->nbFields; ++j) {
      const PluginField& field = collection->fields[j];
      if (std::strcmp(field.name, Values<Op>::name(i)) != 0) continue;
      if (field.type != PluginFieldType::kINT32 || field.length != 1 || !field.data) continue;
      std::memcpy(&values.at[i], field.data, sizeof values.at[i]);
      present = true;
    }
    if (!present) {
      std::fprintf(stderr, "edgevid plugin %s: the node has no integer attribute '%s'\n", Op::name(),
                   Values<Op>::name(i));
      return false;
    }
  }
  return true;
}

inline int channels_of(const Dims& dims) { return static_cast<int>(dims.d[1]); }

inline int pixels_of(const Dims& dims) {
  int pixels = 1;
  for (int axis = 2; axis < dims.nbDims; ++axis) pixels *= static_cast<int>(dims.d[axis]);
  return pixels;
}

inline int bytes_of(DataType type) { return type == DataType::kINT8 ? 1 : type == DataType::kHALF ? 2 : 4; }

inline bool is_float(DataType type) { return type == DataType::kFLOAT || type == DataType::kHALF; }

// HWC8 without padding is channels-last.
inline bool is_channels_last(TensorFormat format, const Dims& dims) {
  return format == TensorFormat::kHWC8 && dims.nbDims == 4 && dims.d[1] > 0 && dims.d[1] % 8 == 0;
}

inline const PluginTensorDesc& desc_of(const PluginTensorDesc& desc) { return desc; }
inline const PluginTensorDesc& desc_of(const nvinfer1::DynamicPluginTensorDesc& desc) { return desc.desc; }

// Whether tensor `position` (inputs, then outputs) may be as it is, for those before it.
template <class Op, class Desc>
bool supports(int position, const Desc* tensors, int inputs) {
  const PluginTensorDesc &tensor = desc_of(tensors[position]), &x = desc_of(tensors[0]);
  const bool plain = tensor.format == TensorFormat::kLINEAR;
  if (position == 0) return Op::takes(tensor.type) && (plain ? Op::kPlain : Op::takes(tensor.format, tensor));
  if (tensor.type != x.type) return false;
  // A copy of int8 means the same only at the same scale.
  if (tensor.type == DataType::kINT8 && tensor.scale != x.scale) return false;
  if (position < inputs && Op::is_weight(position)) return plain;
  return tensor.format == x.format && (plain || Op::takes(tensor.format, tensor));
}

// Registers a creator when the library is loaded.
template <class Creator>
struct Registrar {
  Registrar() {
    if (auto* registry = getPluginRegistry()) registry->registerCreator(creator, kNamespace);
  }
  Creator creator;
};

}  // namespace plugin
}  // namespace edgevid

#if NV_TENSORRT_MAJOR >= 10
#include "plugin_v3.h"
#else
#include "plugin_v2.h"
#endif

#ifndef EDGEVID_REGISTER_PLUGIN
#define EDGEVID_REGISTER_PLUGIN(Op) static ::edgevid::plugin::Registrar<::edgevid::plugin::Creator<Op>> registrar_##Op
#endif
