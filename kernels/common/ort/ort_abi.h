// The part of ONNX Runtime's C interface that the kernels call, declared by ourselves because no package
// ships the header. The interface is append-only: a function keeps its place in the table for ever, so a
// place and a signature are all that is needed. Source of both: the order of declarations in ONNX Runtime's
// public header include/onnxruntime/core/session/onnxruntime_c_api.h (API version 18 = release 1.18).
// tests/kernels/common/test_ort_abi.py compares the places with the installed runtime.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgevid::ort {

// Version 18 is the first whose OrtCustomOp can say that an output may take the place of an input.
constexpr uint32_t kApiVersion = 18;

struct Status;
struct SessionOptions;
struct CustomOpDomain;
struct KernelInfo;
struct KernelContext;
struct Value;
struct ShapeInfo;
struct ShapeContext;

using AnyFunction = void (*)();

struct Api {
  AnyFunction table[275];
};

struct ApiBase {
  const Api* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum ElementType : int { kFloat = 1 };
enum Characteristic : int { kRequired = 0, kOptional = 1 };
enum MemoryType : int { kDefaultMemory = 0 };

// One entry: its place in the table and its signature.
template <size_t Place, typename Signature>
struct Entry;

template <size_t Place, typename Result, typename... Arguments>
struct Entry<Place, Result(Arguments...)> {
  static Result call(const Api& api, Arguments... arguments) {
    return reinterpret_cast<Result (*)(Arguments...)>(api.table[Place])(arguments...);
  }
};

using CreateStatus = Entry<0, Status*(ErrorCode, const char*)>;
using GetErrorMessage = Entry<2, const char*(const Status*)>;
using CreateCustomOpDomain = Entry<26, Status*(const char*, CustomOpDomain**)>;
using CustomOpDomainAdd = Entry<27, Status*(CustomOpDomain*, const struct CustomOp*)>;
using AddCustomOpDomain = Entry<28, Status*(SessionOptions*, CustomOpDomain*)>;
using GetTensorMutableData = Entry<51, Status*(Value*, void**)>;
using CreateShapeInfo = Entry<57, Status*(ShapeInfo**)>;
using SetElementType = Entry<58, Status*(ShapeInfo*, ElementType)>;
using SetDimensions = Entry<59, Status*(ShapeInfo*, const int64_t*, size_t)>;
using GetDimensionsCount = Entry<61, Status*(const ShapeInfo*, size_t*)>;
using GetDimensions = Entry<62, Status*(const ShapeInfo*, int64_t*, size_t)>;
using GetTensorTypeAndShape = Entry<65, Status*(const Value*, ShapeInfo**)>;
using GetFloatAttribute = Entry<85, Status*(const KernelInfo*, const char*, float*)>;
using GetIntAttribute = Entry<86, Status*(const KernelInfo*, const char*, int64_t*)>;
using GetInputCount = Entry<88, Status*(const KernelContext*, size_t*)>;
using GetOutputCount = Entry<89, Status*(const KernelContext*, size_t*)>;
using GetInput = Entry<90, Status*(const KernelContext*, size_t, const Value**)>;
using GetOutput = Entry<91, Status*(KernelContext*, size_t, const int64_t*, size_t, Value**)>;
using ReleaseStatus = Entry<93, void(Status*)>;
using ReleaseShapeInfo = Entry<99, void(ShapeInfo*)>;
using GetInputShape = Entry<268, Status*(const ShapeContext*, size_t, ShapeInfo**)>;
using SetOutputShape = Entry<270, Status*(ShapeContext*, size_t, const ShapeInfo*)>;
using ParallelFor = Entry<274, Status*(const KernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>;

// The description of an op for ONNX Runtime. The fields up to `version` 18, in the header's order.
struct CustomOp {
  uint32_t version;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*get_name)(const CustomOp*);
  const char* (*get_provider)(const CustomOp*);
  ElementType (*get_input_type)(const CustomOp*, size_t);
  size_t (*get_input_count)(const CustomOp*);
  ElementType (*get_output_type)(const CustomOp*, size_t);
  size_t (*get_output_count)(const CustomOp*);
  void (*compute)(void*, KernelContext*);
  void (*destroy)(void*);
  Characteristic (*get_input_characteristic)(const CustomOp*, size_t);
  Characteristic (*get_output_characteristic)(const CustomOp*, size_t);
  MemoryType (*get_input_memory)(const CustomOp*, size_t);
  int (*get_variadic_input_minimum)(const CustomOp*);
  int (*get_variadic_input_homogeneity)(const CustomOp*);
  int (*get_variadic_output_minimum)(const CustomOp*);
  int (*get_variadic_output_homogeneity)(const CustomOp*);
  Status* (*create_kernel_v2)(const CustomOp*, const Api*, const KernelInfo*, void**);
  Status* (*compute_v2)(void*, KernelContext*);
  Status* (*infer_shapes)(const CustomOp*, ShapeContext*);
  int (*get_start_version)(const CustomOp*);
  int (*get_end_version)(const CustomOp*);
  size_t (*get_may_inplace)(int** inputs, int** outputs);
  void (*release_may_inplace)(int* inputs, int* outputs);
  size_t (*get_alias_map)(int** inputs, int** outputs);
  void (*release_alias_map)(int* inputs, int* outputs);
};

}  // namespace edgevid::ort
