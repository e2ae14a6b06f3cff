// Convolutions with fewer multiplications (Winograd, 1980; Lavin & Gray, 2016): tiles of the image and the kernels are
// transformed, multiplied channel by channel as matrices, and what comes out is transformed back.
//
// A scheme says how that goes along one axis, READS values from PAD before every STEP-th one being read; a tile goes
// through it along both. `returned` and `gradient`, for the gradient of kernels, are the transposes of `output` and
// `weights`: what comes back has BACK terms. Sums stay in float32 throughout; bfloat16 rounds the transformed tiles and
// kernels once each.
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
};

// Four values from six products instead of twelve, at the points 0, NEAR, -NEAR, FAR, -FAR and infinity, which round half
// as much as the usual 0, 1, -1, 2, -2 (and are exact in binary).
struct Fours {
  static constexpr int READS = 6, STEP = 4, PAD = 1, TERMS = 6, KERNELS = 6, PRODUCTS = 6, MADE = 4, BACK = 6;
  static constexpr float NEAR = 5 / 8.f, FAR = 3 / 2.f, NEAR2 = NEAR * NEAR, FAR2 = FAR * FAR;
  static constexpr float NONE = 1 / (NEAR2 * FAR2), AT_NEAR = 1 / (2 * NEAR2 * (NEAR2 - FAR2)),
                         AT_FAR = 1 / (2 * FAR2 * (FAR2 - NEAR2));  // divisions take as long as all the rest
  static constexpr int term(int product) { return product; }
  static constexpr int kernel(int product) { return product; }
  static constexpr int back(int product) { return product; }

  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    V near = d[4] - FAR2 * d[2], near_odd = NEAR * (d[3] - FAR2 * d[1]);
    V far = d[4] - NEAR2 * d[2], far_odd = FAR * (d[3] - NEAR2 * d[1]);
    return {NEAR2 * FAR2 * d[0] - (NEAR2 + FAR2) * d[2] + d[4], near + near_odd, near - near_odd, far + far_odd,
            far - far_odd, NEAR2 * FAR2 * d[1] - (NEAR2 + FAR2) * d[3] + d[5]};
  }
  template <class V>
  static std::array<V, KERNELS> weights(const std::array<V, 3>& w) {
    V near = AT_NEAR * (w[0] + NEAR2 * w[2]), near_odd = AT_NEAR * NEAR * w[1];
    V far = AT_FAR * (w[0] + FAR2 * w[2]), far_odd = AT_FAR * FAR * w[1];
    return {NONE * w[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, w[2]};
  }
  template <class V>
  static std::array<V, MADE> output(const std::array<V, PRODUCTS>& m) {
    V near = m[1] + m[2], near_odd = NEAR * (m[1] - m[2]), far = m[3] + m[4], far_odd = FAR * (m[3] - m[4]);
    return {m[0] + near + far, near_odd + far_odd, NEAR2 * near + FAR2 * far, NEAR2 * near_odd + FAR2 * far_odd + m[5]};
  }
  template <class V>
  static std::array<V, PRODUCTS> returned(const std::array<V, MADE>& d) {
    V near = d[0] + NEAR2 * d[2], near_odd = NEAR * (d[1] + NEAR2 * d[3]);
    V far = d[0] + FAR2 * d[2], far_odd = FAR * (d[1] + FAR2 * d[3]);
    return {d[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, d[3]};
  }
  template <class V>
  static std::array<V, 3> gradient(const std::array<V, PRODUCTS>& m) {
    V near = AT_NEAR * (m[1] + m[2]), near_odd = AT_NEAR * NEAR * (m[1] - m[2]);
    V far = AT_FAR * (m[3] + m[4]), far_odd = AT_FAR * FAR * (m[3] - m[4]);
    return {NONE * m[0] + near + far, near_odd + far_odd, NEAR2 * near + FAR2 * far + m[5]};
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

// Of the transposed convolution of stride two, eight values from four, at the points NEAR, -NEAR, FAR, -FAR and
// infinity: the even ones see two taps each and share five products, the odd ones see one and share four, of the same
// terms. Nine products instead of twelve. Infinity alone sees the first value.
struct DoublingFours {
  static constexpr int READS = 5, STEP = 4, PAD = 1, TERMS = 5, KERNELS = 6, PRODUCTS = 9, MADE = 8;
  static constexpr float NEAR = 1 / 2.f, FAR = 5 / 4.f, NEAR2 = NEAR * NEAR, FAR2 = FAR * FAR;
  static constexpr float AT_NEAR = 1 / (2 * NEAR * (NEAR2 - FAR2)), AT_FAR = 1 / (2 * FAR * (FAR2 - NEAR2));
  static constexpr int term(int product) { return product < 5 ? product : product - 4; }
  static constexpr int kernel(int product) { return product < 5 ? product : 5; }

  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    V near = d[1] - FAR2 * d[3], near_odd = NEAR * (d[2] - FAR2 * d[4]);
    V far = d[1] - NEAR2 * d[3], far_odd = FAR * (d[2] - NEAR2 * d[4]);
    return {d[0] - (NEAR2 + FAR2) * d[2] + NEAR2 * FAR2 * d[4], near + near_odd, near - near_odd, far + far_odd,
            far - far_odd};
  }
  template <class V>
  static std::array<V, KERNELS> weights(const std::array<V, 3>& w) {
    V near = AT_NEAR * w[0], near_odd = AT_NEAR * NEAR * w[2], far = AT_FAR * w[0], far_odd = AT_FAR * FAR * w[2];
    return {w[2], near + near_odd, near - near_odd, far + far_odd, far - far_odd, w[1]};
  }
  template <class V>
  static std::array<V, MADE> output(const std::array<V, PRODUCTS>& m) {
    V near = m[1] - m[2], near_odd = NEAR * (m[1] + m[2]), far = m[3] - m[4], far_odd = FAR * (m[3] + m[4]);
    V one = AT_NEAR * (m[5] - m[6]), one_odd = AT_NEAR * NEAR * (m[5] + m[6]);
    V other = AT_FAR * (m[7] - m[8]), other_odd = AT_FAR * FAR * (m[7] + m[8]);
    return {m[0] + NEAR2 * near_odd + FAR2 * far_odd, NEAR2 * one_odd + FAR2 * other_odd, NEAR2 * near + FAR2 * far,
            NEAR2 * one + FAR2 * other, near_odd + far_odd, one_odd + other_odd, near + far, one + other};
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

// Of the gradient of kernels of stride two only: nine values and four that come back, at the points NEAR, -NEAR, FAR,
// -FAR and infinity, as in DoublingFours with other roles. The middle tap sees odd values alone, whose four products
// add up to it. Nine products instead of twelve.
struct HalvingFours {
  static constexpr int READS = 9, STEP = 8, PAD = 0, TERMS = 9, KERNELS = 6, PRODUCTS = 9, MADE = 4, BACK = 5;
  static constexpr float NEAR = 1 / 2.f, FAR = 11 / 8.f, NEAR2 = NEAR * NEAR, FAR2 = FAR * FAR;
  static constexpr float AT_NEAR = 1 / (2 * NEAR * (NEAR2 - FAR2)), AT_FAR = 1 / (2 * FAR * (FAR2 - NEAR2));
  static constexpr int back(int product) { return product < 5 ? product : product - 5; }
  static constexpr int kernel(int product) { return product < 5 ? product : 5; }

  template <class V>
  static std::array<V, 4> finite(V a, V b, V c, V d) {
    V near = NEAR * (c - FAR2 * a), near_odd = d - FAR2 * b, far = FAR * (c - NEAR2 * a), far_odd = d - NEAR2 * b;
    return {near + near_odd, near - near_odd, far + far_odd, far - far_odd};
  }
  template <class V>
  static std::array<V, TERMS> input(const std::array<V, READS>& d) {
    auto even = finite(d[0], d[2], d[4], d[6]), odd = finite(d[1], d[3], d[5], d[7]);
    V infinite = NEAR2 * FAR2 * d[0] - (NEAR2 + FAR2) * d[4] + d[8];
    return {even[0], even[1], even[2], even[3], infinite, odd[0], odd[1], odd[2], odd[3]};
  }
  template <class V>
  static std::array<V, BACK> returned(const std::array<V, MADE>& d) {
    V near = AT_NEAR * (d[0] + NEAR2 * d[2]), near_odd = AT_NEAR * NEAR * (d[1] + NEAR2 * d[3]);
    V far = AT_FAR * (d[0] + FAR2 * d[2]), far_odd = AT_FAR * FAR * (d[1] + FAR2 * d[3]);
    return {near + near_odd, near - near_odd, far + far_odd, far - far_odd, d[3]};
  }
  template <class V>
  static std::array<V, 3> gradient(const std::array<V, KERNELS>& m) {
    return {m[0] + m[1] + m[2] + m[3], m[5], NEAR * (m[0] - m[1]) + FAR * (m[2] - m[3]) + m[4]};
  }
};

}  // namespace histoxplain
