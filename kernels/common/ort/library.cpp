// The entry point that ONNX Runtime looks for when the library is registered in a session's options.
#include "isa.h"
#include "registry.h"

namespace edgevid::ort {
namespace {

const Api* api_in_use = nullptr;

// Lives as long as the process, as the ops do: every session shares it.
CustomOpDomain* make_domain(const Api& api) {
  CustomOpDomain* domain = nullptr;
  check(api, CreateCustomOpDomain::call(api, "edgevid", &domain));
  for (const CustomOp* op : registered_ops()) check(api, CustomOpDomainAdd::call(api, domain, op));
  return domain;
}

}  // namespace

std::vector<const CustomOp*>& registered_ops() {
  static std::vector<const CustomOp*> ops;
  return ops;
}

const Api& registered_api() { return *api_in_use; }

}  // namespace edgevid::ort

extern "C" __attribute__((visibility("default"))) edgevid::ort::Status* RegisterCustomOps(
    edgevid::ort::SessionOptions* options, const edgevid::ort::ApiBase* base) {
  using namespace edgevid;
  const ort::Api* api = base->get_api(ort::kApiVersion);
  if (api == nullptr) {
    return ort::CreateStatus::call(*base->get_api(1), ort::kFail,
                                   "the kernels of edgevid need ONNX Runtime 1.18 or newer");
  }
  ort::api_in_use = api;
  try {
    select_isa();  // a wrong EDGEVID_ISA is reported here, once, rather than by every kernel
    static ort::CustomOpDomain* const domain = ort::make_domain(*api);
    ort::check(*api, ort::AddCustomOpDomain::call(*api, options, domain));
    return nullptr;
  } catch (const std::exception& error) {
    return ort::CreateStatus::call(*api, ort::kFail, error.what());
  }
}
