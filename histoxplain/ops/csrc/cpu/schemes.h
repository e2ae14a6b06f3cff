// Convolutions with fewer multiplications (Winograd, 1980; Lavin & Gray, 2016): tiles of the image and the kernels are
// transformed, multiplied channel by channel as matrices, and what comes out is transformed back.
//
// A scheme says how that goes along one axis, READS values from PAD before every STEP-th one being read; a tile goes
// through it along both. `returned` and `gradient`, for the gradient of kernels, are the transposes of `output` and
// `weights`. Sums stay in float32 throughout; bfloat16 rounds the transformed tiles and kernels once each.
#pragma once

#include <array>
#include <utility>

namespace histoxplain {

// f(0), f(1), ... with numbers that are known to the compiler, so that arrays of vectors stay in registers.
template <int N, class F>
inline __attribute__((always_inline)) void each(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

// Two values from four products instead of six.
struct Twos {
  static constexpr int READS = 4, STEP = 2, PAD = 1, TERMS = 4, KERNELS = 4, PRODUCTS = 4, MADE = 2;
  static constexpr int term(int product) { return product; }
  static constexpr int kernel(int product) { return product; }

  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    return {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]};
  }
  template <class V>
  static std::array<V, KERNELS> weights(const std::array<V, 3>& w) {
    return {w[0], (w[0] + w[1] + w[2]) / 2, (w[0] - w[1] + w[2]) / 2, w[2]};
  }
  template <class V>
  static std::array<V, MADE> output(const std::array<V, PRODUCTS>& m) {
    return {m[0] + m[1] + m[2], m[1] - m[2] - m[3]};
  }
  template <class V>
  static std::array<V, PRODUCTS> returned(const std::array<V, MADE>& d) {
    return {d[0], d[0] + d[1], d[0] - d[1], -d[1]};
  }
  template <class V>
  static std::array<V, 3> gradient(const std::array<V, PRODUCTS>& m) {
    V half = (m[1] + m[2]) / 2;
    return {m[0] + half, (m[1] - m[2]) / 2, half + m[3]};
  }
};

// Four values from six products instead of twelve, at the points 0, 1, -1, 2, -2 and infinity.
struct Fours {
  static constexpr int READS = 6, STEP = 4, PAD = 1, TERMS = 6, KERNELS = 6, PRODUCTS = 6, MADE = 4;
  static constexpr int term(int product) { return product; }
  static constexpr int kernel(int product) { return product; }

  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    V even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], across = d[4] - d[2], along = 2 * (d[3] - d[1]);
    return {4 * d[0] - 5 * d[2] + d[4], even + odd, even - odd, across + along, across - along,
            4 * d[1] - 5 * d[3] + d[5]};
  }
  template <class V>
  static std::array<V, KERNELS> weights(const std::array<V, 3>& w) {
    V ends = w[0] + w[2], far = w[0] + 4 * w[2];
    constexpr float sixth = 1 / 6.f;  // divisions take as long as all the rest
    return {w[0] / 4, -sixth * (ends + w[1]), -sixth * (ends - w[1]), sixth / 4 * (far + 2 * w[1]),
            sixth / 4 * (far - 2 * w[1]), w[2]};
  }
  template <class V>
  static std::array<V, MADE> output(const std::array<V, PRODUCTS>& m) {
    V near = m[1] + m[2], near_odd = m[1] - m[2], far = m[3] + m[4], far_odd = m[3] - m[4];
    return {m[0] + near + far, near_odd + 2 * far_odd, near + 4 * far, near_odd + 8 * far_odd + m[5]};
  }
};

// Of the transposed convolution of stride two, four values from two: the even ones see two taps and share one of three
// products, the odd ones see one. Five products instead of six.
struct Doubling {
  static constexpr int READS = 3, STEP = 2, PAD = 1, TERMS = 4, KERNELS = 4, PRODUCTS = 5, MADE = 4;
  static constexpr int term(int product) { return std::array{0, 1, 2, 1, 3}[product]; }
  static constexpr int kernel(int product) { return std::array{0, 1, 2, 3, 3}[product]; }

  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    return {d[0] - d[1], d[1], d[1] - d[2], d[2]};
  }
  template <class V>
  static std::array<V, KERNELS> weights(const std::array<V, 3>& w) {
    return {w[2], w[0] + w[2], w[0], w[1]};
  }
  template <class V>
  static std::array<V, MADE> output(const std::array<V, PRODUCTS>& m) {
    return {m[0] + m[1], m[3], m[1] - m[2], m[4]};
  }
};

// Of the convolution of stride two, two values from five: the even ones see two taps each and share one of three
// products, the odd ones see one. Five products instead of six.
struct Halving {
  static constexpr int READS = 5, STEP = 4, PAD = 0, TERMS = 5, KERNELS = 4, PRODUCTS = 5, MADE = 2;
  static constexpr int term(int product) { return product; }
  static constexpr int kernel(int product) { return std::array{0, 1, 2, 3, 3}[product]; }

  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    return {d[0] - d[2], d[2], d[4] - d[2], d[1], d[3]};
  }
  template <class V>
  static std::array<V, KERNELS> weights(const std::array<V, 3>& w) {
    return {w[0], w[0] + w[2], w[2], w[1]};
  }
  template <class V>
  static std::array<V, MADE> output(const std::array<V, PRODUCTS>& m) {
    return {m[0] + m[1] + m[3], m[1] + m[2] + m[4]};
  }
};

}  // namespace histoxplain
