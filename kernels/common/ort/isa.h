// The instruction sets a library holds. Every cpu*.cpp is compiled once for each, with its own flags, into a
// namespace of that name; which one runs is decided when a session is made.
#pragma once

namespace edgevid {

enum class Isa { kGeneric, kAvx2, kAvx512 };

// The best one of this processor, or the one EDGEVID_ISA names. Throws std::runtime_error, with a message for
// the user, when that is unknown or the processor lacks it.
Isa select_isa();

const char* name_of(Isa isa);

}  // namespace edgevid

// EDGEVID_DISPATCH(isa, function) is that function as compiled for `isa`.
#if defined(__x86_64__)
#define EDGEVID_DISPATCH(isa, function)                \
  ((isa) == ::edgevid::Isa::kAvx512 ? avx512::function \
   : (isa) == ::edgevid::Isa::kAvx2 ? avx2::function   \
                                    : generic::function)
#define EDGEVID_DECLARE_FOR_EACH_ISA(declaration) \
  namespace avx512 {                              \
  declaration;                                    \
  }                                               \
  namespace avx2 {                                \
  declaration;                                    \
  }                                               \
  namespace generic {                             \
  declaration;                                    \
  }
#else
#define EDGEVID_DISPATCH(isa, function) (static_cast<void>(isa), generic::function)
#define EDGEVID_DECLARE_FOR_EACH_ISA(declaration) \
  namespace generic {                             \
  declaration;                                    \
  }
#endif
