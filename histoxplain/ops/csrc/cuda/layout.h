// Which memory a kernel walks through, and the types and names it is instantiated for.
#pragma once

#include "arithmetic.h"

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <optional>
#include <string>

namespace histoxplain {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

/// What a tensor like `x` is computed in.
inline ScalarType compute_type(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

inline void check_device(const Tensor& other, const Tensor& x) {
  STD_TORCH_CHECK(other.device() == x.device(), "all tensors must be on the same device");
}

inline bool same_memory(const Tensor& x, const Tensor& like) {
  if (x.scalar_type() != like.scalar_type()) return false;
  for (int64_t d = 0; d < x.dim(); ++d)
    if (x.size(d) > 1 && x.stride(d) != like.stride(d)) return false;
  return true;
}

/// `x` in the type and strides of `like`: itself, or a copy.
inline Tensor laid_out_like(const Tensor& x, const Tensor& like) {
  check_device(x, like);
  if (same_memory(x, like)) return x;
  Tensor copy = torch::stable::empty_like(like);
  torch::stable::copy_(copy, x);
  return copy;
}

/// Whether `x` is images (N, C, H, W) that fill their memory in the order N, H, W, C, and not in N, C, H, W as well.
inline bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4) return false;
  int64_t expected = 1;
  for (const int64_t d : {1, 3, 2, 0}) {
    if (x.size(d) > 1 && x.stride(d) != expected) return false;
    expected *= x.size(d);
  }
  return !x.is_contiguous();
}

/// `x` in one of the two memory formats: itself, or a contiguous copy.
inline Tensor formatted(const Tensor& x) {
  return is_channels_last(x) ? x : torch::stable::contiguous(x);
}

/// A small tensor that every thread may read: contiguous, and of the type that `x` is computed in.
inline Tensor parameter(const Tensor& p, const Tensor& x) {
  check_device(p, x);
  return torch::stable::contiguous(torch::stable::to(p, compute_type(x)));
}

template <class T>
T* data(const Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

template <class T>
const T* data(const std::optional<Tensor>& x) {
  return x ? data<T>(*x) : nullptr;
}

/// Whether 16 bytes can be loaded at once from the start of each; null is no obstacle.
template <class... P>
bool aligned(const P*... starts) {
  return ((reinterpret_cast<std::uintptr_t>(starts) | ...) & 15) == 0;
}

/// Calls `run(T())` for the element type T of `x`.
template <class F>
void with_type(const Tensor& x, const char* name, const F& run) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return run(float());
    case ScalarType::Half: return run(torch::headeronly::Half());
    case ScalarType::BFloat16: return run(torch::headeronly::BFloat16());
    case ScalarType::Double: return run(double());
    default:
      STD_TORCH_CHECK(false, name, " takes float32, float16, bfloat16 or float64, got ", toString(x.scalar_type()));
  }
}

/// Calls `run(constant)`, whose value is the activation of that name, one of the first `count`.
template <int count, int k = 0, class F>
void with_activation(const std::string& name, const F& run) {
  constexpr const char* names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"};
  if constexpr (k == count) {
    STD_TORCH_CHECK(false, "no kernel for the activation ", name);
  } else if (name == names[k]) {
    run(std::integral_constant<Activation, static_cast<Activation>(k)>());
  } else {
    with_activation<count, k + 1>(name, run);
  }
}

/// Calls `run(V)` for the number of elements that a thread takes at once: those of 16 bytes where they fit, else 1.
template <class T, class F>
void with_width(bool wide, const F& run) {
  if (wide)
    run(std::integral_constant<int, kWidth<T>>());
  else
    run(std::integral_constant<int, 1>());
}

}  // namespace histoxplain
