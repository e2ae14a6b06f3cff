// Runs kernels on the current stream of a tensor's device. A kernel is a struct with the work of one thread:
//
//   each:   `body(i)` for every i < count, in any order.
//   tiles:  blocks of kThreads share memory; `body.gather(tile, thread, shared)`, a barrier, `body.finish(...)`.
//
// Without nvcc all but the launch itself is the same: tests/ops/cuda_emulation.h runs the threads in turn.
#pragma once

#include "arithmetic.h"

namespace histoxplain {

constexpr int kThreads = 256;

template <class Body>
C10_HOST_DEVICE inline void stride_through(const Body& body, int64_t first, int64_t count, int64_t step) {
  for (int64_t i = first; i < count; i += step) body(i);
}

}  // namespace histoxplain

#ifdef __CUDACC__
#ifndef USE_CUDA
#define USE_CUDA  // torch's shim declares streams and error messages then
#endif
#include <cuda_runtime.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>
#include <torch/csrc/stable/tensor.h>

#define HISTOXPLAIN_KERNELS(m) STABLE_TORCH_LIBRARY_IMPL(histoxplain, CUDA, m)

namespace histoxplain {

template <class Body>
__global__ void __launch_bounds__(kThreads) run_each(const Body body, const int64_t count) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  stride_through(body, first, count, static_cast<int64_t>(gridDim.x) * kThreads);
}

template <class Body>
__global__ void __launch_bounds__(kThreads) run_tiles(const Body body, const int64_t count) {
  __shared__ typename Body::Shared shared;
  for (int64_t tile = blockIdx.x; tile < count; tile += gridDim.x) {
    body.gather(tile, threadIdx.x, shared);
    __syncthreads();
    body.finish(tile, threadIdx.x, shared);
    __syncthreads();
  }
}

/// The device of a tensor, made current, and its current stream.
class Queue {
 public:
  explicit Queue(const torch::stable::Tensor& x) : guard_(x.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(x.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
    int processors = 0;
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, x.get_device_index()));
    most_blocks_ = 32 * static_cast<int64_t>(processors);
  }

  template <class Body>
  void each(const Body& body, int64_t count) const {
    if (count == 0) return;
    run_each<<<blocks(ceil_divide(count, kThreads)), kThreads, 0, stream_>>>(body, count);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

  template <class Body>
  void tiles(const Body& body, int64_t count) const {
    if (count == 0) return;
    run_tiles<<<blocks(count), kThreads, 0, stream_>>>(body, count);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

 private:
  unsigned blocks(int64_t wanted) const { return static_cast<unsigned>(wanted < most_blocks_ ? wanted : most_blocks_); }

  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_ = nullptr;
  int64_t most_blocks_ = 0;
};

}  // namespace histoxplain
#else
#include "cuda_emulation.h"  // tests/ops
#endif
