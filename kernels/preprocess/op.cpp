// The kernel for callers through ctypes. It is no op of ONNX Runtime, as it runs before a network does.
#include <exception>

#include "preprocess.h"

namespace edgevid {
namespace {

const char* run(const Preprocess& args) {
  const Isa isa = select_isa();
  if (const char* reason = EDGEVID_DISPATCH(isa, why_not)(args)) return reason;
  EDGEVID_DISPATCH(isa, run)(args, 0, EDGEVID_DISPATCH(isa, work_items)(args));
  return nullptr;
}

}  // namespace
}  // namespace edgevid

// Null, or the reason why the arguments cannot be run.
extern "C" __attribute__((visibility("default"))) const char* edgevid_preprocess(const edgevid::Preprocess* args) {
  try {
    return edgevid::run(*args);
  } catch (const std::exception&) {
    return "EDGEVID_ISA is unknown or not of this processor: unset it";
  }
}
