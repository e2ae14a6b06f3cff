// Activations: as vectors where they are piecewise linear, element by element where they need a library function.
#pragma once

#include <cmath>
#include <string>
#include <torch/headeronly/util/Exception.h>

#include "vector.h"

namespace histoxplain {

enum class Act { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

inline Act act_named(const std::string& name) {
  static const char* names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"};
  for (int i = 0; i < 9; i++) {
    if (name == names[i]) return static_cast<Act>(i);
  }
  STD_TORCH_CHECK(false, "`act` must be one of the nine activations, got ", name);
}

// act, then gain, then clamp; a negative clamp is none.
struct Activation {
  Act act;
  double alpha, gain, clamp;
};

constexpr double SELU_SCALE = 1.0507009873554804934193349852946;
constexpr double SELU_ALPHA = 1.6732632423543772848170429916717;

template <class S>
S value_of(Act act, S x, S alpha) {
  switch (act) {
    case Act::tanh:
      return std::tanh(x);
    case Act::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Act::elu:
      return x > 0 ? x : std::expm1(x);
    case Act::selu:
      return S(SELU_SCALE) * (x > 0 ? x : S(SELU_ALPHA) * std::expm1(x));
    case Act::softplus:
      return x > 20 ? x : std::log1p(std::exp(x));
    case Act::swish:
      return x / (1 + std::exp(-x));
    default:
      return x;
  }
}

// The derivative from the output y before the gain; from the input for swish.
template <class S>
S slope_of(Act act, S y) {
  switch (act) {
    case Act::tanh:
      return 1 - y * y;
    case Act::sigmoid:
      return y * (1 - y);
    case Act::elu:
      return y > 0 ? S(1) : y + 1;
    case Act::selu:
      return y > 0 ? S(SELU_SCALE) : y + S(SELU_SCALE * SELU_ALPHA);
    case Act::softplus:
      return -std::expm1(-y);
    case Act::swish: {
      S s = 1 / (1 + std::exp(-y));
      return s * (1 + y * (1 - s));
    }
    default:
      return 1;
  }
}

// As T holds it: what was clamped to 181.02 is 181 in bfloat16.
template <class T>
scalar_of<T> held(scalar_of<T> value) {
  T stored[1];
  store(stored, splat<vector_of<T>>(value), 1);
  return load(stored, 1)[0];
}

// Of a vector. ACT is the activation if it is piecewise linear; every other one passes as Act::swish, and `a` names it.
template <Act ACT, class T>
struct Applied {
  using V = vector_of<T>;
  using S = scalar_of<T>;

  explicit Applied(const Activation& activation)
      : a(activation), alpha(S(a.alpha)), gain(S(a.gain)), clamp(S(a.clamp)), reached(held<T>(clamp)) {}

  V forward(V x) const {
    if constexpr (ACT == Act::relu) {
      x = x < 0 ? V{} : x;
    } else if constexpr (ACT == Act::lrelu) {
      x = x > 0 ? x : x * alpha;
    } else if constexpr (ACT != Act::linear) {
      for (int64_t i = 0; i < LANES<T>; i++) x[i] = value_of<S>(a.act, x[i], alpha);
    }
    x *= gain;
    if (clamp >= 0) {
      x = x < -clamp ? splat<V>(-clamp) : x;
      x = x > clamp ? splat<V>(clamp) : x;
    }
    return x;
  }

  // dy times the derivative; `ref` is the output, for swish the input.
  V backward(V dy, V ref) const {
    V slope = splat<V>(gain);
    if constexpr (ACT == Act::relu) {
      slope = ref > 0 ? slope : V{};
    } else if constexpr (ACT == Act::lrelu) {
      slope = ref > 0 ? slope : slope * alpha;
    } else if constexpr (ACT != Act::linear) {
      V y = a.act == Act::swish ? ref : ref / gain;
      for (int64_t i = 0; i < LANES<T>; i++) slope[i] *= slope_of<S>(a.act, y[i]);
      if (a.act == Act::swish && clamp >= 0) {
        for (int64_t i = 0; i < LANES<T>; i++) ref[i] = gain * value_of<S>(Act::swish, ref[i], alpha);
      }
    }
    S end = ACT == Act::swish && a.act == Act::swish ? clamp : reached;
    if (clamp >= 0) slope = ref > -end && ref < end ? slope : V{};
    return dy * slope;
  }

  Activation a;
  S alpha, gain, clamp, reached;
};

// Calls f with the applied activation of element type T, compiled for its kind.
template <class T, class F>
void with_activation(const Activation& a, F&& f) {
  switch (a.act) {
    case Act::linear:
      return f(Applied<Act::linear, T>(a));
    case Act::relu:
      return f(Applied<Act::relu, T>(a));
    case Act::lrelu:
      return f(Applied<Act::lrelu, T>(a));
    default:
      return f(Applied<Act::swish, T>(a));
  }
}

}  // namespace histoxplain
