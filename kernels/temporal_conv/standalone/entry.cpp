// The kernel of one instruction set for callers in C, such as tests and benchmarks.
#include "../temporal_conv.h"
#include "threads.h"

namespace kernel = edgevid::EDGEVID_ISA_NAMESPACE;

extern "C" {

const char* why_not(const edgevid::TemporalConv* conv) { return kernel::why_not(*conv); }

int64_t work_items(const edgevid::TemporalConv* conv) { return kernel::work_items(*conv); }

void run(const edgevid::TemporalConv* conv, int64_t begin, int64_t end) { kernel::run(*conv, begin, end); }

void run_on_threads(const edgevid::TemporalConv* conv, int64_t threads, int64_t repeats) {
  edgevid::on_threads(kernel::work_items(*conv), threads, repeats,
                      [conv](int64_t begin, int64_t end) { kernel::run(*conv, begin, end); });
}

}
