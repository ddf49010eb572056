// TemporalShift and TemporalShiftStep on the GPU: copies of elements of 1, 2 or 4 bytes, whatever they hold.
//
// Cost for E elements: no arithmetic, 2 E reads and writes: each element is read once and written once (a step
// reads and writes its state as well). Pieces are of 16 bytes where the borders of the moved channels allow it.
#pragma once

#include "../common/cuda/device.cuh"

namespace edgevid {
namespace cuda {

// `x` and `y` are (images, channels, pixels) with `lanes` neighboring channels adjacent in memory:
//   1          (images, channels, pixels), TensorRT's LINEAR
//   channels   (images, pixels, channels): channels-last, HWC8 where they are a multiple of 8
//   otherwise  (images, ceil(channels / lanes), pixels, lanes), as CHW4 and CHW32
// Frames of a clip lie together. `first` and `second` say how many frames later the first and the second
// `fold` channels are read; beyond the clip stand zeros.
struct TemporalShift {
  int images, frames, channels, pixels, fold, first, second, lanes, element_bytes;
  const void* x;
  void* y;
};

// One frame of the causal shift. `state` and `next_state` are (images, fold, pixels); they may be the same memory.
// `lanes` is 1 or, channels-last, `channels`: the states are then (images, pixels, fold).
struct TemporalShiftStep {
  int images, channels, pixels, fold, lanes, element_bytes;
  const void *x, *state;
  void *y, *next_state;
};

// All in units: an image is `image` long, made of planes of `plane`, made of rows of `row`. A row holds the
// lanes of a pixel; where channels are not adjacent, it holds a whole image. `first_end` and `second_end` are
// where the moved channels end, counted as if the rows of a channel group were one.
struct ShiftLayout {
  int image, plane, row, first_end, second_end;
};

template <typename Unit>
__global__ void shift_frames(const Unit* __restrict__ x, Unit* __restrict__ y, ShiftLayout layout, int images,
                             int frames, int first, int second) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= layout.image) return;
  const int channel = i / layout.plane * layout.row + i % layout.row;
  const int offset = channel < layout.first_end ? first : channel < layout.second_end ? second : 0;
  for (int t = static_cast<int>(blockIdx.y); t < images; t += static_cast<int>(gridDim.y)) {
    const int frame = t % frames + offset;
    const long long at = static_cast<long long>(t) * layout.image + i;
    const bool inside = 0 <= frame && frame < frames;
    y[at] = inside ? x[at + static_cast<long long>(offset) * layout.image] : Unit();
  }
}

template <typename Unit>
__global__ void shift_step(const Unit* __restrict__ x, const Unit* state, Unit* __restrict__ y, Unit* next_state,
                           ShiftLayout layout, int images) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= layout.image) return;
  const int pixel = i / layout.row, channel = i % layout.row, moved = layout.first_end;
  const long long state_image = static_cast<long long>(layout.image / layout.row) * moved;
  for (int t = static_cast<int>(blockIdx.y); t < images; t += static_cast<int>(gridDim.y)) {
    const long long at = static_cast<long long>(t) * layout.image + i;
    const Unit value = x[at];
    if (channel >= moved) {
      y[at] = value;
      continue;
    }
    const long long kept = t * state_image + static_cast<long long>(pixel) * moved + channel;
    y[at] = state[kept];
    next_state[kept] = value;
  }
}

#ifndef __CUDACC_RTC__
namespace detail {

// The layout in units of `unit` bytes; an image of zero length if they do not fit into its borders.
inline ShiftLayout shift_layout(int channels, int pixels, int fold, bool two, int lanes, int element_bytes, int unit) {
  const long long groups = lanes == 1 ? 1 : (channels + lanes - 1) / lanes;
  const long long row = static_cast<long long>(lanes == 1 ? channels * pixels : lanes) * element_bytes;
  const long long plane = lanes == 1 ? row : row * pixels;
  const long long first_end = static_cast<long long>(fold) * (lanes == 1 ? pixels : 1) * element_bytes;
  if (row % unit || first_end % unit) return ShiftLayout{0, 0, 0, 0, 0};
  return ShiftLayout{static_cast<int>(groups * plane / unit), static_cast<int>(plane / unit),
                     static_cast<int>(row / unit), static_cast<int>(first_end / unit),
                     static_cast<int>((two ? 2 : 1) * first_end / unit)};
}

template <typename Unit>
bool try_shift(const TemporalShift& shift, cudaStream_t stream, cudaError_t& error) {
  const ShiftLayout layout = shift_layout(shift.channels, shift.pixels, shift.fold, shift.second != 0, shift.lanes,
                                          shift.element_bytes, sizeof(Unit));
  if (layout.image == 0 || !are_aligned(sizeof(Unit), shift.x, shift.y)) return false;
  error = launch(shift_frames<Unit>, layout.image, shift.images, stream, static_cast<const Unit*>(shift.x),
                 static_cast<Unit*>(shift.y), layout, shift.images, shift.frames, shift.first, shift.second);
  return true;
}

template <typename Unit>
bool try_step(const TemporalShiftStep& step, cudaStream_t stream, cudaError_t& error) {
  const ShiftLayout layout =
      shift_layout(step.channels, step.pixels, step.fold, false, step.lanes, step.element_bytes, sizeof(Unit));
  if (layout.image == 0 || !are_aligned(sizeof(Unit), step.x, step.state, step.y, step.next_state)) return false;
  error = launch(shift_step<Unit>, layout.image, step.images, stream, static_cast<const Unit*>(step.x),
                 static_cast<const Unit*>(step.state), static_cast<Unit*>(step.y), static_cast<Unit*>(step.next_state),
                 layout, step.images);
  return true;
}

}  // namespace detail

// cudaErrorInvalidValue if the numbers make no sense; else the result of the launch.
inline cudaError_t run(const TemporalShift& shift, cudaStream_t stream) {
  const int moved = shift.fold * (shift.second != 0 ? 2 : 1);
  if (shift.frames < 1 || shift.images % shift.frames || shift.fold < 0 || moved > shift.channels || shift.lanes < 1)
    return cudaErrorInvalidValue;
  if (shift.images == 0 || shift.channels == 0 || shift.pixels == 0) return cudaSuccess;
  cudaError_t error = cudaErrorInvalidValue;
  detail::try_shift<uint4>(shift, stream, error) || detail::try_shift<uint2>(shift, stream, error) ||
      detail::try_shift<unsigned>(shift, stream, error) || detail::try_shift<unsigned short>(shift, stream, error) ||
      detail::try_shift<unsigned char>(shift, stream, error);
  return error;
}

inline cudaError_t run(const TemporalShiftStep& step, cudaStream_t stream) {
  const bool known_layout = step.lanes == 1 || step.lanes == step.channels;
  if (step.fold < 0 || step.fold > step.channels || !known_layout) return cudaErrorInvalidValue;
  if (step.images == 0 || step.channels == 0 || step.pixels == 0) return cudaSuccess;
  cudaError_t error = cudaErrorInvalidValue;
  detail::try_step<uint4>(step, stream, error) || detail::try_step<uint2>(step, stream, error) ||
      detail::try_step<unsigned>(step, stream, error) || detail::try_step<unsigned short>(step, stream, error) ||
      detail::try_step<unsigned char>(step, stream, error);
  return error;
}
#endif

}  // namespace cuda
}  // namespace edgevid
