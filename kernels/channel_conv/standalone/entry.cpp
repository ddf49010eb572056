// The kernel of one instruction set for callers in C, such as tests and benchmarks.
#include "../channel_conv.h"
#include "../../temporal_conv/standalone/threads.h"

namespace kernel = edgevid::EDGEVID_ISA_NAMESPACE;

extern "C" {

const char* why_not(const edgevid::ChannelConv* conv) { return kernel::why_not(*conv); }

int64_t work_items(const edgevid::ChannelConv* conv) { return kernel::work_items(*conv); }

void run(const edgevid::ChannelConv* conv, int64_t begin, int64_t end) { kernel::run(*conv, begin, end); }

void run_on_threads(const edgevid::ChannelConv* conv, int64_t threads, int64_t repeats) {
  edgevid::on_threads(kernel::work_items(*conv), threads, repeats,
                      [conv](int64_t begin, int64_t end) { kernel::run(*conv, begin, end); });
}

}
