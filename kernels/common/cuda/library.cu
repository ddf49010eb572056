// All kernels in one translation unit: with C functions for ctypes, and, for NVRTC, which compiles device code
// alone, each kernel by name.
#include "../../channel_conv/cuda.cuh"
#include "../../temporal_conv/cuda.cuh"
#include "../../temporal_shift/cuda.cuh"

#ifdef __CUDACC_RTC__
namespace edgevid {
namespace cuda {
template __global__ void shift_frames<uint4>(const uint4*, uint4*, ShiftLayout, int, int, int, int);
template __global__ void shift_step<uint4>(const uint4*, const uint4*, uint4*, uint4*, ShiftLayout, int);
template __global__ void filter_frames<float, 4, 3, true>(FilterTensors<float>, FilterLayout);
template __global__ void filter_frames<Half, 8, 3, true>(FilterTensors<Half>, FilterLayout);
template __global__ void filter_frames<Half, 8, 3, false>(FilterTensors<Half>, FilterLayout);
template __global__ void filter_frames_long<Half>(FilterTensors<Half>, FilterLayout, int);
template __global__ void filter_channels<float, 1>(ChannelConv, int);
template __global__ void filter_channels<Half, 2>(ChannelConv, int);
template __global__ void filter_channels<Half, 0>(ChannelConv, int);
}  // namespace cuda
}  // namespace edgevid
#else
// Each takes a structure and a stream, null for the default one, and returns a cudaError_t.
extern "C" {
int edgevid_temporal_shift(const edgevid::cuda::TemporalShift* op, cudaStream_t stream) {
  return edgevid::cuda::run(*op, stream);
}
int edgevid_temporal_shift_step(const edgevid::cuda::TemporalShiftStep* op, cudaStream_t stream) {
  return edgevid::cuda::run(*op, stream);
}
int edgevid_temporal_conv(const edgevid::cuda::TemporalConv* op, cudaStream_t stream) {
  return edgevid::cuda::run(*op, stream);
}
int edgevid_channel_conv(const edgevid::cuda::ChannelConv* op, cudaStream_t stream) {
  return edgevid::cuda::run(*op, stream);
}
}
#endif
