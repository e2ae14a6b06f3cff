// What one element goes through, as functions that run on a GPU and, compiled as plain C++, in the tests anywhere.
#pragma once

#include <torch/headeronly/macros/Macros.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace histoxplain {

/// The type that values of type T are computed in.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Elements of type T in 16 bytes, the widest load of a thread; of float64, meant for checking gradients, just one.
template <class T>
constexpr int kWidth = sizeof(T) == 8 ? 1 : 16 / sizeof(T);

/// V neighbours in memory, loaded and stored together.
template <class T, int V>
struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Pack {
  T at[V];
};

template <int V, class T>
C10_HOST_DEVICE inline Pack<T, V> load(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}

template <int V, class T>
C10_HOST_DEVICE inline void store(T* to, const Pack<T, V>& values) {
  *reinterpret_cast<Pack<T, V>*>(to) = values;
}

template <int V, class T>
C10_HOST_DEVICE inline Pack<T, V> repeat(T value) {
  Pack<T, V> values;
  for (int v = 0; v < V; ++v) values.at[v] = value;
  return values;
}

/// `n / d` for `0 <= n, 0 < d`; in 32 bits where both fit, which GPUs do several times faster.
C10_HOST_DEVICE constexpr int64_t quotient(int64_t n, int64_t d) {
  return (n | d) >> 32 ? n / d : static_cast<int64_t>(static_cast<uint32_t>(n) / static_cast<uint32_t>(d));
}

/// The remainder of `n / d`, which `n` becomes.
C10_HOST_DEVICE constexpr int64_t split(int64_t& n, int64_t d) {
  const int64_t whole = quotient(n, d), rest = n - whole * d;
  n = whole;
  return rest;
}

C10_HOST_DEVICE constexpr int64_t ceil_divide(int64_t n, int64_t d) {
  return (n + d - 1) / d;
}

enum class Activation { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;

template <class A>
C10_HOST_DEVICE inline A logistic(A u) {
  return A(1) / (A(1) + std::exp(-u));
}

/// The activation at `u`. NaN stays NaN, and relu(-inf) is 0.
template <Activation act, class A>
C10_HOST_DEVICE inline A activate(A u, A alpha) {
  if constexpr (act == Activation::linear) return u;
  if constexpr (act == Activation::relu) return u <= 0 ? A(0) : u;
  if constexpr (act == Activation::lrelu) return u > 0 ? u : u * alpha;
  if constexpr (act == Activation::tanh) return std::tanh(u);
  if constexpr (act == Activation::sigmoid) return logistic(u);
  if constexpr (act == Activation::elu) return u > 0 ? u : std::expm1(u);
  if constexpr (act == Activation::selu) return A(kSeluScale) * (u > 0 ? u : A(kSeluAlpha) * std::expm1(u));
  if constexpr (act == Activation::softplus) return u > 20 ? u : std::log1p(std::exp(u));
  if constexpr (act == Activation::swish) return u * logistic(u);
}

/// `dv` times the derivative of the activation where its value is `v`; swish alone goes by its argument instead.
template <Activation act, class A>
C10_HOST_DEVICE inline A differentiate(A dv, A v, A alpha) {
  if constexpr (act == Activation::linear) return dv;
  if constexpr (act == Activation::relu) return v > 0 ? dv : A(0);
  if constexpr (act == Activation::lrelu) return v > 0 ? dv : dv * alpha;
  if constexpr (act == Activation::tanh) return dv * (1 - v * v);
  if constexpr (act == Activation::sigmoid) return dv * v * (1 - v);
  if constexpr (act == Activation::elu) return v > 0 ? dv : dv * (v + 1);
  if constexpr (act == Activation::selu) return dv * (v > 0 ? A(kSeluScale) : v + A(kSeluScale * kSeluAlpha));
  if constexpr (act == Activation::softplus) return dv * -std::expm1(-v);
  if constexpr (act == Activation::swish) return dv * logistic(v) * (1 + v * (1 - logistic(v)));
}

/// Gain, clamp (below 0: none) and slope of one call, in the type that it computes in.
template <class T, Activation act>
struct Response {
  using A = Compute<T>;
  A alpha, gain, clamp, inverse_gain, edge;

  Response(double alpha, double gain, double clamp)
      : alpha(A(alpha)),
        gain(A(gain)),
        clamp(A(clamp)),
        inverse_gain(gain == 0 ? A(0) : A(1 / gain)),
        edge(act == Activation::swish ? A(clamp) : A(T(A(clamp)))) {}

  /// `clamp(act(u) * gain)`.
  C10_HOST_DEVICE A forward(A u) const {
    const A y = activate<act>(u, alpha) * gain;
    if (clamp < 0) return y;
    return y < -clamp ? -clamp : y > clamp ? clamp : y;
  }

  /// The gradient at `u` for the gradient `dy` of `forward(u)`, which rounded to T is `ref`; for swish, `ref` is `u`.
  C10_HOST_DEVICE A backward(A dy, A ref) const {
    const A y = act == Activation::swish ? activate<act>(ref, alpha) * gain : ref;
    if (clamp >= 0 && !(std::abs(y) < edge)) return 0;
    return differentiate<act>(dy * gain, act == Activation::swish ? ref : ref * inverse_gain, alpha);
  }
};

}  // namespace histoxplain
