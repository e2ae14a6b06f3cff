// The inner loop of a convolution: a strip of pixels times a block of output channels, all sums in registers.
#pragma once

#include <array>
#include <utility>

#include "vector.h"

namespace histoxplain {

// Activations and packed weights hold channels in multiples of this.
constexpr int64_t CHANNELS = 16;

// What fits into the registers: PIXELS x VECTORS sums, VECTORS weights and one pixel's value.
#if defined(__AVX512F__)
constexpr int PIXELS = 14, VECTORS = 2;
#elif defined(__AVX__)
constexpr int PIXELS = 6, VECTORS = 2;
#else
constexpr int PIXELS = 6, VECTORS = 4;
#endif

constexpr int64_t LANE = LANES<float>;
constexpr int64_t BLOCK = VECTORS * LANE;  // output channels of one block; the last block may be half as wide

// How many input channels lie side by side in a packed weight: what one instruction multiplies and adds.
template <class T>
constexpr int64_t PAIR = 1;
#ifdef __AVX512BF16__
template <>
constexpr int64_t PAIR<bfloat16> = 2;
#endif

inline floats multiply_add(floats sum, const float* weight, float x) { return sum + load(weight) * x; }

inline floats multiply_add(floats sum, const bfloat16* weight, bfloat16 x) {
  return sum + load(weight) * load(&x, 1)[0];
}

// out[m, o] = sum over channels of x[m, c] w[c, o], for M pixels that lie `step` apart and V vectors of outputs.
// Meanwhile weights come closer some rows ahead, and those pixels from `next` on that are multiplied after these.
template <class T, int M, int V>
void tile(const T* x, int64_t step, int64_t channels, const T* w, float* out, const T* next) {
  constexpr int64_t AHEAD = 16, LINE = 64 / sizeof(T);
  floats sums[M][V];
#pragma GCC unroll 16
  for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sums[m][v] = floats{};
  }
  for (int64_t c = 0; c < channels; c += PAIR<T>, x += PAIR<T>, w += PAIR<T> * V * LANE) {
    for (int v = 0; v < V; v++) __builtin_prefetch(w + (AHEAD * V + v) * PAIR<T> * LANE);
    if (c % LINE == 0) {
      for (int m = 0; m < M; m++) __builtin_prefetch(next + m * step + c);
    }
#ifdef __AVX512BF16__
    if constexpr (PAIR<T> == 2) {
      __m512bh weights[V];
      for (int v = 0; v < V; v++) weights[v] = (__m512bh)_mm512_loadu_si512(w + 2 * v * LANE);
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        int32_t two;
        std::memcpy(&two, x + m * step, sizeof two);
        auto value = (__m512bh)_mm512_set1_epi32(two);
        for (int v = 0; v < V; v++) sums[m][v] = (floats)_mm512_dpbf16_ps((__m512)sums[m][v], weights[v], value);
      }
      continue;
    }
#endif
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) {
      for (int v = 0; v < V; v++) sums[m][v] = multiply_add(sums[m][v], w + v * LANE, x[m * step]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) store(out + (m * V + v) * LANE, sums[m][v]);
  }
}

template <class T>
using Tile = void (*)(const T*, int64_t, int64_t, const T*, float*, const T*);

template <class T, int V, int... M>
constexpr std::array<Tile<T>, sizeof...(M)> tiles(std::integer_sequence<int, M...>) {
  return {&tile<T, M + 1, V>...};
}

// The inner loop for a strip of `pixels` (1 to PIXELS) and a block of `width` channels (BLOCK or half of it).
template <class T>
Tile<T> tile_for(int64_t pixels, int64_t width) {
  static constexpr auto whole = tiles<T, VECTORS>(std::make_integer_sequence<int, PIXELS>());
  static constexpr auto half = tiles<T, VECTORS / 2>(std::make_integer_sequence<int, PIXELS>());
  return width == BLOCK ? whole[pixels - 1] : half[pixels - 1];
}

}  // namespace histoxplain
