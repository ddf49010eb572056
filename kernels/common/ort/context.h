// ONNX Runtime's tensors, attributes and threads, as C++ that throws std::runtime_error.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort_abi.h"

namespace edgevid::ort {

inline void check(const Api& api, Status* status) {
  if (status == nullptr) return;
  const std::string message = GetErrorMessage::call(api, status);
  ReleaseStatus::call(api, status);
  throw std::runtime_error(message);
}

inline void require(bool condition, const char* message) {
  if (!condition) throw std::runtime_error(message);
}

using Shape = std::vector<int64_t>;

inline Shape shape_of(const Api& api, const ShapeInfo* info) {
  size_t rank = 0;
  check(api, GetDimensionsCount::call(api, info, &rank));
  Shape shape(rank);
  check(api, GetDimensions::call(api, info, shape.data(), rank));
  return shape;
}

class Attributes {
 public:
  Attributes(const Api& api, const KernelInfo* info) : api_(api), info_(info) {}

  int64_t integer(const char* name) const {
    int64_t value = 0;
    check(api_, GetIntAttribute::call(api_, info_, name, &value));
    return value;
  }

  float real(const char* name) const {
    float value = 0;
    check(api_, GetFloatAttribute::call(api_, info_, name, &value));
    return value;
  }

  // `value` where the node leaves the attribute out.
  int64_t integer_or(int64_t value, const char* name) const {
    if (Status* missing = GetIntAttribute::call(api_, info_, name, &value)) ReleaseStatus::call(api_, missing);
    return value;
  }

  float real_or(float value, const char* name) const {
    if (Status* missing = GetFloatAttribute::call(api_, info_, name, &value)) ReleaseStatus::call(api_, missing);
    return value;
  }

 private:
  const Api& api_;
  const KernelInfo* info_;
};

struct Release {
  const Api& api;
  ShapeInfo* info;
  ~Release() { ReleaseShapeInfo::call(api, info); }
};

// A float tensor; `data` is null for an optional input that the node leaves out.
struct Tensor {
  float* data = nullptr;
  Shape shape;

  int64_t elements_from(size_t axis) const {
    int64_t product = 1;
    for (size_t i = axis; i < shape.size(); ++i) product *= shape[i];
    return product;
  }
};

class Context {
 public:
  Context(const Api& api, KernelContext* context) : api_(api), context_(context) {}

  Tensor input(size_t index) const {
    Tensor tensor;
    size_t count = 0;
    check(api_, GetInputCount::call(api_, context_, &count));
    const Value* value = nullptr;
    if (index < count) check(api_, GetInput::call(api_, context_, index, &value));
    if (value == nullptr) return tensor;
    ShapeInfo* info = nullptr;
    check(api_, GetTensorTypeAndShape::call(api_, value, &info));
    const Release release{api_, info};
    tensor.shape = shape_of(api_, info);
    tensor.data = data_of(const_cast<Value*>(value));
    return tensor;
  }

  Tensor output(size_t index, Shape shape) const {
    Value* value = nullptr;
    check(api_, GetOutput::call(api_, context_, index, shape.data(), shape.size(), &value));
    Tensor tensor;
    tensor.data = data_of(value);
    tensor.shape = std::move(shape);
    return tensor;
  }

  // Calls body(i) for i in [0, count) on the session's own threads, which take one after the other: a thread
  // that another program delays takes fewer.
  template <typename Body>
  void parallel_for(int64_t count, const Body& body) const {
    if (count == 1) return body(0);
    const auto call = [](void* data, size_t i) { (*static_cast<const Body*>(data))(static_cast<int64_t>(i)); };
    const auto total = static_cast<size_t>(count);
    check(api_, ParallelFor::call(api_, context_, call, total, total, const_cast<Body*>(&body)));
  }

  // Calls body(begin, end) for ranges that make up [0, count), at most `pieces` of them, and at least one.
  template <typename Body>
  void parallel_ranges(int64_t count, int64_t pieces, const Body& body) const {
    pieces = std::max<int64_t>(1, std::min(pieces, count));
    parallel_for(pieces, [&](int64_t i) { body(count * i / pieces, count * (i + 1) / pieces); });
  }

 private:
  float* data_of(Value* value) const {
    void* data = nullptr;
    check(api_, GetTensorMutableData::call(api_, value, &data));
    return static_cast<float*>(data);
  }

  const Api& api_;
  KernelContext* context_;
};

// The shapes of a node's tensors before it runs; a size that is not known is -1. ONNX Runtime plans its memory by
// them: without, no two tensors share any.
class Shapes {
 public:
  Shapes(const Api& api, ShapeContext* context) : api_(api), context_(context) {}

  Shape input(size_t index) const {
    ShapeInfo* info = nullptr;  // belongs to the context
    check(api_, GetInputShape::call(api_, context_, index, &info));
    return shape_of(api_, info);
  }

  void set_output(size_t index, const Shape& shape) const {
    ShapeInfo* info = nullptr;
    check(api_, CreateShapeInfo::call(api_, &info));
    const Release release{api_, info};
    check(api_, SetElementType::call(api_, info, kFloat));
    check(api_, SetDimensions::call(api_, info, shape.data(), shape.size()));
    check(api_, SetOutputShape::call(api_, context_, index, info));
  }

 private:
  const Api& api_;
  ShapeContext* context_;
};

}  // namespace edgevid::ort
