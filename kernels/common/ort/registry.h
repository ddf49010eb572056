// How an op reaches ONNX Runtime. An op.cpp defines a class Kernel with
//   static constexpr const char* kName;
//   Kernel(const ort::Attributes&);
//   void compute(const ort::Context&) const;
// and the members of a Signature, its base class, and registers it by `static const ort::Registration<Kernel>
// registration;`. All tensors are float.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "context.h"

namespace edgevid::ort {

std::vector<const CustomOp*>& registered_ops();

// The table of the last registration; shapes are inferred without being handed one.
const Api& registered_api();

// An op's numbers of inputs and outputs, all of them float. Output 0 may take the memory of input `inplace`. Unless the
// op has an `infer` of its own, each output has the shape of the input of the same number.
template <size_t inputs, size_t required, size_t outputs = 1, int inplace = -1>
struct Signature {
  static constexpr size_t kInputs = inputs, kRequiredInputs = required, kOutputs = outputs;
  static constexpr int kInplaceInput = inplace;

  static void infer(const Shapes& shapes) {
    for (size_t i = 0; i < outputs; ++i) shapes.set_output(i, shapes.input(i));
  }
};

// A kernel of a session, with the table it calls.
template <typename Kernel>
struct Instance {
  const Api& api;
  Kernel kernel;
};

template <typename Kernel>
class Registration {
 public:
  Registration() {
    op_.version = kApiVersion;
    op_.get_name = [](const CustomOp*) { return Kernel::kName; };
    op_.get_provider = [](const CustomOp*) -> const char* { return nullptr; };
    op_.get_input_type = [](const CustomOp*, size_t) { return kFloat; };
    op_.get_input_count = [](const CustomOp*) { return Kernel::kInputs; };
    op_.get_output_type = [](const CustomOp*, size_t) { return kFloat; };
    op_.get_output_count = [](const CustomOp*) { return Kernel::kOutputs; };
    op_.destroy = [](void* instance) { delete static_cast<Instance<Kernel>*>(instance); };
    op_.get_input_characteristic = [](const CustomOp*, size_t index) {
      return index < Kernel::kRequiredInputs ? kRequired : kOptional;
    };
    op_.get_output_characteristic = [](const CustomOp*, size_t) { return kRequired; };
    op_.get_input_memory = [](const CustomOp*, size_t) { return kDefaultMemory; };
    op_.get_variadic_input_minimum = [](const CustomOp*) { return 1; };
    op_.get_variadic_input_homogeneity = [](const CustomOp*) { return 1; };
    op_.get_variadic_output_minimum = [](const CustomOp*) { return 1; };
    op_.get_variadic_output_homogeneity = [](const CustomOp*) { return 1; };
    op_.create_kernel_v2 = create;
    op_.compute_v2 = compute;
    op_.infer_shapes = infer_shapes;
    op_.get_start_version = [](const CustomOp*) { return 1; };
    op_.get_end_version = [](const CustomOp*) { return 0x7fffffff; };
    op_.get_may_inplace = may_inplace;
    op_.release_may_inplace = [](int* inputs, int* outputs) {
      delete inputs;
      delete outputs;
    };
    op_.get_alias_map = [](int**, int**) -> size_t { return 0; };
    op_.release_alias_map = [](int*, int*) {};
    registered_ops().push_back(&op_);
  }

 private:
  static Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** instance) {
    return guarded(*api, [&] { *instance = new Instance<Kernel>{*api, Kernel(Attributes(*api, info))}; });
  }

  static Status* compute(void* instance, KernelContext* context) {
    const auto& self = *static_cast<const Instance<Kernel>*>(instance);
    return guarded(self.api, [&] { self.kernel.compute(Context(self.api, context)); });
  }

  // A shape that cannot be inferred is left open: the kernel reports the error when it runs.
  static Status* infer_shapes(const CustomOp*, ShapeContext* context) {
    try {
      Kernel::infer(Shapes(registered_api(), context));
    } catch (const std::exception&) {
    }
    return nullptr;
  }

  static size_t may_inplace(int** inputs, int** outputs) {
    if (Kernel::kInplaceInput < 0) return 0;
    *inputs = new int(Kernel::kInplaceInput);
    *outputs = new int(0);
    return 1;
  }

  // Exceptions must not cross the C interface: their messages do, after the name of the op.
  template <typename Body>
  static Status* guarded(const Api& api, const Body& body) {
    try {
      body();
      return nullptr;
    } catch (const std::exception& error) {
      return CreateStatus::call(api, kFail, (Kernel::kName + std::string(": ") + error.what()).c_str());
    }
  }

  CustomOp op_{};
};

}  // namespace edgevid::ort
