#include "isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace edgevid {
namespace {

bool supports(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return isa == Isa::kGeneric || (isa == Isa::kAvx2 ? avx2 : avx512);
#else
  return isa == Isa::kGeneric;
#endif
}

}  // namespace

const char* name_of(Isa isa) { return isa == Isa::kAvx512 ? "avx512" : isa == Isa::kAvx2 ? "avx2" : "generic"; }

Isa select_isa() {
  const char* requested = std::getenv("EDGEVID_ISA");
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kGeneric}) {
    const bool is_requested = requested != nullptr && std::string(requested) == name_of(isa);
    if (is_requested && !supports(isa)) {
      throw std::runtime_error("EDGEVID_ISA=" + std::string(requested) +
                               ": this processor does not have it; unset EDGEVID_ISA or use EDGEVID_ISA=generic");
    }
    if (is_requested || ((requested == nullptr || *requested == '\0') && supports(isa))) return isa;
  }
  throw std::runtime_error("EDGEVID_ISA=" + std::string(requested) + " is unknown: use avx512, avx2 or generic");
}

}  // namespace edgevid

// The same for Python, which names its caches by it: the name, or null with the message in `error`.
extern "C" __attribute__((visibility("default"))) const char* edgevid_isa(char* error, int size) {
  try {
    return edgevid::name_of(edgevid::select_isa());
  } catch (const std::runtime_error& problem) {
    const std::string message = problem.what();
    error[message.copy(error, static_cast<size_t>(size) - 1)] = '\0';
    return nullptr;
  }
}
