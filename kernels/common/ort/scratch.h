// Memory of a thread for the numbers between two steps of a kernel.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <cstdlib>
#include <new>

// glibc 2.34 moved these to another library, as new versions. By their first version, a library that was linked with
// a new glibc loads with an old one too.
#if defined(EDGEVID_BIONIC)  // Android's C library, though a compiler for Linux has the headers of glibc
#elif defined(__GLIBC__) && defined(__x86_64__)
#define EDGEVID_FIRST_GLIBC "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define EDGEVID_FIRST_GLIBC "GLIBC_2.17"
#endif
#ifdef EDGEVID_FIRST_GLIBC
__asm__(".symver pthread_key_create, pthread_key_create@" EDGEVID_FIRST_GLIBC);
__asm__(".symver pthread_getspecific, pthread_getspecific@" EDGEVID_FIRST_GLIBC);
__asm__(".symver pthread_setspecific, pthread_setspecific@" EDGEVID_FIRST_GLIBC);
#endif

namespace edgevid::ort {

// At least `floats` uninitialized floats for the calling thread, aligned to a cache line. They are reused from one
// piece of work to the next, because fresh pages would cost more than the work on them. Not a thread_local: phones
// before Android 10 cannot load a library with one, and this needs no code of the library when a thread ends.
inline float* thread_scratch(int64_t floats) {
  constexpr size_t kCacheLine = 64;
  static const pthread_key_t scratch = [] {
    pthread_key_t key;
    if (pthread_key_create(&key, std::free) != 0) throw std::bad_alloc();
    return key;
  }();
  // A block begins with how many floats it holds; these begin on the next cache line.
  void* block = pthread_getspecific(scratch);
  if (block == nullptr || *static_cast<const int64_t*>(block) < floats) {
    std::free(block);
    block = nullptr;
    pthread_setspecific(scratch, nullptr);
    if (posix_memalign(&block, kCacheLine, kCacheLine + static_cast<size_t>(floats) * sizeof(float)) != 0) {
      throw std::bad_alloc();
    }
    *static_cast<int64_t*>(block) = floats;
    if (pthread_setspecific(scratch, block) != 0) {
      std::free(block);
      throw std::bad_alloc();
    }
  }
  return reinterpret_cast<float*>(static_cast<char*>(block) + kCacheLine);
}

}  // namespace edgevid::ort
