// A kernel of one instruction set for callers in C, such as tests and benchmarks. The build defines
// EDGEVID_HEADER, the header that declares it, and EDGEVID_KERNEL, the structure of its arguments.
#include EDGEVID_HEADER
#include "threads.h"

namespace kernel = edgevid::EDGEVID_ISA_NAMESPACE;
using Arguments = edgevid::EDGEVID_KERNEL;

extern "C" {

const char* why_not(const Arguments* conv) { return kernel::why_not(*conv); }

int64_t work_items(const Arguments* conv) { return kernel::work_items(*conv); }

void run(const Arguments* conv, int64_t begin, int64_t end) { kernel::run(*conv, begin, end); }

void run_on_threads(const Arguments* conv, int64_t threads, int64_t repeats) {
  edgevid::on_threads(kernel::work_items(*conv), threads, repeats,
                      [conv](int64_t begin, int64_t end) { kernel::run(*conv, begin, end); });
}
}
