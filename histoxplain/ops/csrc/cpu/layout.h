// How tensors lie in memory, and how the kernels want them.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Half.h>

#include <algorithm>
#include <optional>

#include "share.h"
#include "vector.h"

namespace histoxplain {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// A block of rows that one thread works on before it takes the next; results do not depend on it.
constexpr int64_t GRAIN = 16384;

template <class T>
const T* read(const Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}

template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

// Whether x (N, C, H, W) lies as (N, H, W, C) without gaps. What fits both layouts counts as contiguous.
inline bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4 || x.is_contiguous()) return false;
  int64_t expected = 1;
  for (int64_t axis : {1, 3, 2, 0}) {
    if (x.size(axis) != 1 && x.stride(axis) != expected) return false;
    expected *= x.size(axis);
  }
  return true;
}

// x in one of the two layouts; a copy if it lies otherwise.
inline Tensor dense(const Tensor& x) {
  return x.is_contiguous() || is_channels_last(x) ? x : torch::stable::contiguous(x);
}

// x in the type and layout of `example`, which is dense and has the same shape.
inline Tensor laid_out_like(Tensor x, const Tensor& example) {
  if (x.scalar_type() != example.scalar_type()) x = torch::stable::to(x, example.scalar_type());
  bool last = is_channels_last(example);
  if (last ? is_channels_last(x) : x.is_contiguous()) return x;
  return torch::stable::contiguous(x, last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

// A small tensor as a dense one of the type that values are computed in.
inline std::optional<Tensor> parameter(const std::optional<Tensor>& x, ScalarType type) {
  if (!x) return x;
  return torch::stable::contiguous(torch::stable::to(*x, type));
}

inline ScalarType compute_type(ScalarType stored) {
  return stored == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Calls f with a value of the element type, whose type is all that matters.
template <class F>
auto by_type(ScalarType type, F&& f) {
  switch (type) {
    case ScalarType::Float:
      return f(float{});
    case ScalarType::BFloat16:
      return f(bfloat16{});
    case ScalarType::Double:
      return f(double{});
    default:
      STD_TORCH_CHECK(false, "`x` must be float16, bfloat16, float32 or float64");
  }
}

// As `by_type`, for one of the two types that values are computed in.
template <class F>
auto in_compute_type(ScalarType type, F&& f) {
  return type == ScalarType::Double ? f(double{}) : f(float{});
}

// float16 is computed through float32: CPUs that multiply it are rare.
template <class F>
Tensor through_float(const Tensor& x, F&& f) {
  return torch::stable::to(f(torch::stable::to(x, ScalarType::Float)), ScalarType::Half);
}

// A clamp as a result in float16 shows it.
inline double held_as_half(double clamp) { return float(torch::headeronly::Half(float(clamp))); }

}  // namespace histoxplain
