// The fused shift and 1x1 convolution that Triton compiled ahead of time (triton.py), launched as PTX.
//
// `compiled.h` is written next to this file for a network: the kernels of its layers. The driver's library, which
// is there with every GPU, takes the PTX; it is looked up when it is first needed, so that nothing links to it.
#pragma once

#include "../common/cuda/device.cuh"

#ifndef EDGEVID_EMULATED
#include <dlfcn.h>

#include <array>
#include <mutex>
#endif

namespace edgevid {
namespace cuda {

// A kernel for the layers of these numbers: a program makes `block_rows` pixels of `block_outputs` outputs.
// The result lies between `low` and `high`, which the PTX has inside.
struct CompiledShiftConv {
  int channels, outputs, frames, fold, first, second;
  float low, high;
  int block_rows, block_outputs, shared_bytes, threads;
  const char *kernel, *ptx;
};

// `x` is (images, pixels, channels), `y` (images, pixels, outputs), `weights` (outputs, channels), all halves.
struct ShiftConv {
  int images, pixels;
  const void *x, *weights, *bias;
  void* y;
};

}  // namespace cuda
}  // namespace edgevid

#include "compiled.h"

namespace edgevid {
namespace cuda {

constexpr int kCompiledShiftConvs = sizeof(kCompiled) / sizeof(kCompiled[0]);

#ifdef EDGEVID_EMULATED
// No driver here takes PTX: what it computes, in ordinary C++.
inline cudaError_t launch_compiled(int index, const ShiftConv& conv, cudaStream_t) {
  const CompiledShiftConv& layer = kCompiled[index];
  const Half *x = static_cast<const Half*>(conv.x), *weights = static_cast<const Half*>(conv.weights);
  const Half* bias = static_cast<const Half*>(conv.bias);
  for (int row = 0; row < conv.images * conv.pixels; ++row) {
    for (int output = 0; output < layer.outputs; ++output) {
      float sum = to_float(bias[output]);
      for (int c = 0; c < layer.channels; ++c) {
        const int offset = c < layer.fold ? layer.first : c < 2 * layer.fold ? layer.second : 0;
        const int frame = row / conv.pixels % layer.frames + offset;
        if (frame < 0 || frame >= layer.frames) continue;
        sum += to_float(x[(row + offset * conv.pixels) * layer.channels + c]) *
               to_float(weights[output * layer.channels + c]);
      }
      sum = sum < layer.low ? layer.low : sum > layer.high ? layer.high : sum;
      store(sum, static_cast<Half*>(conv.y)[row * layer.outputs + output]);
    }
  }
  return cudaSuccess;
}
#else
// The part of the driver's interface that is called (CUDA driver API: module management, execution control).
class Driver {
 public:
  // Null if the driver is missing or refuses the PTX; the function lives as long as the process.
  static void* function(int index) {
    static Driver driver;
    static std::array<void*, kCompiledShiftConvs> functions{};
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    if (!functions[index] && driver.launch_) functions[index] = driver.load(kCompiled[index]);
    return functions[index];
  }

  static int launch(void* function, unsigned grid, const CompiledShiftConv& layer, cudaStream_t stream,
                    void** arguments) {
    return driver_launch()(function, grid, 1, 1, static_cast<unsigned>(layer.threads), 1, 1,
                           static_cast<unsigned>(layer.shared_bytes), stream, arguments, nullptr);
  }

 private:
  using Launch = int (*)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cudaStream_t,
                         void**, void**);

  static Launch& driver_launch() {
    static Launch launch = nullptr;
    return launch;
  }

  template <typename Function>
  void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
  }

  Driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) return;
    find(library, "cuModuleLoadData", load_data_);
    find(library, "cuModuleGetFunction", get_function_);
    find(library, "cuFuncSetAttribute", set_attribute_);
    find(library, "cuLaunchKernel", driver_launch());
    launch_ = load_data_ && get_function_ && set_attribute_ && driver_launch();
  }

  void* load(const CompiledShiftConv& layer) {
    constexpr int kMaxDynamicSharedBytes = 8;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    void *module = nullptr, *function = nullptr;
    if (load_data_(&module, layer.ptx) || get_function_(&function, module, layer.kernel)) return nullptr;
    return set_attribute_(function, kMaxDynamicSharedBytes, layer.shared_bytes) ? nullptr : function;
  }

  int (*load_data_)(void**, const void*) = nullptr;
  int (*get_function_)(void**, void*, const char*) = nullptr;
  int (*set_attribute_)(void*, int, int) = nullptr;
  bool launch_ = false;
};

inline cudaError_t launch_compiled(int index, const ShiftConv& conv, cudaStream_t stream) {
  const CompiledShiftConv& layer = kCompiled[index];
  void* function = Driver::function(index);
  if (!function) return cudaErrorInvalidKernelImage;
  ShiftConv args = conv;
  int rows = conv.images * conv.pixels;
  // As the PTX declares them: tensors, numbers, and two places for Triton's own, which the kernel does not use.
  void *null = nullptr, *arguments[] = {&args.x, &args.weights, &args.bias, &args.y, &rows, &args.pixels, &null, &null};
  const int row_blocks = (rows + layer.block_rows - 1) / layer.block_rows;
  const int output_blocks = (layer.outputs + layer.block_outputs - 1) / layer.block_outputs;
  const auto grid = static_cast<unsigned>(row_blocks * output_blocks);
  return Driver::launch(function, grid, layer, stream, arguments) ? cudaErrorLaunchFailure : cudaSuccess;
}
#endif

// cudaErrorInvalidValue if there is no such kernel, or the numbers are not those that it was compiled for.
inline cudaError_t run(int index, int channels, int outputs, const ShiftConv& conv, cudaStream_t stream) {
  if (index < 0 || index >= kCompiledShiftConvs) return cudaErrorInvalidValue;
  const CompiledShiftConv& layer = kCompiled[index];
  const bool fits = layer.channels == channels && layer.outputs == outputs && conv.images % layer.frames == 0;
  return fits ? launch_compiled(index, conv, stream) : cudaErrorInvalidValue;
}

}  // namespace cuda
}  // namespace edgevid
