// The inner loop of a weight's gradient: a block of input channels times a block of output channels, over many pixels.
//
// bfloat16 is multiplied in pairs where the CPU does so, PAIR of tile.h.
#pragma once

#include "tile.h"

namespace histoxplain {

// What is multiplied: one value, or a pair of bfloat16.
template <class T>
struct Factor {
  using type = scalar_of<T>;
};
#ifdef __AVX512BF16__
template <>
struct Factor<bfloat16> {
  using type = uint32_t;
};

inline floats add_product(uint32_t a, const uint32_t* b, floats c) {
  return (floats)_mm512_dpbf16_ps((__m512)c, (__m512bh)_mm512_set1_epi32(a), (__m512bh)_mm512_loadu_si512(b));
}
#endif

template <class S>
inline auto add_product(S a, const S* b, vector_of<S> c) {
  return multiply_add(splat<vector_of<S>>(a), load(b), c);
}

constexpr int64_t IN = 8;  // input channels of a block
template <class T>
constexpr int64_t OUT = 2 * LANES<T>;  // output channels of a block; 8 x 2 vectors of sums fill half the registers

// sums[i][o] += sum over rows x columns of x[i] * dy[o], which lie so many factors apart
template <class T>
void accumulate(const typename Factor<T>::type* x, const typename Factor<T>::type* dy, scalar_of<T>* sums, int64_t rows,
                int64_t columns, int64_t x_row, int64_t x_step, int64_t dy_step = OUT<T>) {
  using V = vector_of<T>;
  std::array<V, IN> left, right;
#pragma GCC unroll 8
  for (int64_t i = 0; i < IN; i++) {
    left[i] = load(sums + i * OUT<T>);
    right[i] = load(sums + i * OUT<T> + LANES<T>);
  }
  prefetch(sums + IN * OUT<T>, IN * OUT<T>);  // which are the next
  for (int64_t y = 0; y < rows; y++) {
    const auto* at = x + y * x_row;
    for (int64_t column = 0; column < columns; column++, at += x_step, dy += dy_step) {
#pragma GCC unroll 8
      for (int64_t i = 0; i < IN; i++) {
        left[i] = add_product(at[i], dy, left[i]);
        right[i] = add_product(at[i], dy + LANES<T>, right[i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < IN; i++) {
    store(sums + i * OUT<T>, left[i]);
    store(sums + i * OUT<T> + LANES<T>, right[i]);
  }
}

}  // namespace histoxplain
