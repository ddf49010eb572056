// Memory of a thread for the numbers between two steps of a kernel.
#pragma once

#include <cstdlib>
#include <new>

namespace edgevid::ort {

// Kept from one piece of work to the next: fresh pages would cost more than the work on them.
class Scratch {
 public:
  ~Scratch() { std::free(data_); }

  float* at_least(int64_t floats) {
    if (floats > floats_) {
      std::free(data_);
      floats_ = 0;
      const auto bytes = static_cast<size_t>(floats) * sizeof(float);
      data_ = std::aligned_alloc(kCacheLine, (bytes + kCacheLine - 1) / kCacheLine * kCacheLine);
      if (data_ == nullptr) throw std::bad_alloc();
      floats_ = floats;
    }
    return static_cast<float*>(data_);
  }

 private:
  static constexpr size_t kCacheLine = 64;

  void* data_ = nullptr;
  int64_t floats_ = 0;
};

}  // namespace edgevid::ort
