// Kernels on their way from where they lie to the inner loop: transposed, transformed, rounded, a block at a time.
#pragma once

#include <cmath>

#include "plane.h"
#include "schemes.h"

namespace histoxplain {

// Where kernels lie: (O, I, k, k) or any transpose of it.
struct Kernels {
  const float* data;
  int64_t out, into, out_stride, into_stride;
  bool flip = false;  // turned by half a circle
};

inline Kernels kernels_of(const Tensor& weight) {
  int64_t area = weight.size(2) * weight.size(3);
  STD_TORCH_CHECK(weight.is_contiguous() && weight.scalar_type() == ScalarType::Float,
                  "`weight` must be contiguous and float32");
  return {read<float>(weight), weight.size(0), weight.size(1), weight.size(1) * area, area};
}

// A packed weight: block of output channels, factor, input channel, output channel.
struct Weight {
  int64_t out, into, factors;  // out and into filled
  int64_t blocks() const { return ceil_div(out, BLOCK); }
  int64_t width(int64_t block) const { return std::min(BLOCK, out - block * BLOCK); }
  int64_t start(int64_t block) const { return block * factors * (into + 1) * BLOCK; }
  int64_t factor_stride(int64_t block) const { return (into + 1) * width(block); }  // no power of two: caches dislike it
  int64_t numel() const { return start(blocks()); }
};

// Taps of LANE x LANE kernels, by input channel and tap.
template <int AREA>
void gather(const Kernels& w, int64_t out, int64_t into, float (*taps)[LANE]) {
  if (out + LANE <= w.out && into + LANE <= w.into && w.into_stride == AREA) {
    for (int64_t v = 0; v < AREA; v++) {
      std::array<floats, LANE> rows;
      each<LANE>([&](auto i) {
        const float* row = w.data + (out + i) * w.out_stride + into * AREA + v * LANE;
        rows[i] = load(row);
        prefetch(row + LANE * AREA, 1);
      });
      transpose<1>(rows);
      each<LANE>([&](auto i) { store(taps[v * LANE + i], rows[i]); });
    }
    return;
  }
  if constexpr (LANE >= AREA) {
    if (out + LANE <= w.out && into + LANE <= w.into && w.out_stride == AREA) {
      for (int64_t i = 0; i < LANE; i++) {
        const float* kernel = w.data + (into + i) * w.into_stride + out * AREA;
        prefetch(kernel + w.into_stride, LANE * AREA);
        std::array<floats, LANE> rows;  // a kernel each, and what lies behind it
        each<LANE>([&](auto o) { rows[o] = o + 1 < LANE ? load(kernel + o * AREA) : load(kernel + o * AREA, AREA); });
        transpose<1>(rows);
        each<AREA>([&](auto k) { store(taps[i * AREA + k], rows[k]); });
      }
      return;
    }
  }
  for (int64_t i = 0; i < LANE * AREA; i++) {
    int64_t channel = into + i / AREA;
    const float* tap = w.data + channel * w.into_stride + i % AREA;
    for (int64_t o = 0; o < LANE; o++) {
      taps[i][o] = out + o < w.out && channel < w.into ? tap[(out + o) * w.out_stride] : 0;
    }
  }
}

// Two vectors, or one, as they lie side by side in a packed weight.
template <class T>
inline void store_side_by_side(T* p, const std::array<floats, PAIR<T>>& v) {
  if constexpr (PAIR<T> == 1) {
    store(p, v[0]);
  }
#ifdef __AVX512BF16__
  if constexpr (PAIR<T> == 2) {
    alignas(64) static constexpr auto turns = [] {
      std::array<uint16_t, 2 * LANE> lanes{};
      for (int i = 0; i < 2 * LANE; i++) lanes[i] = i / 2 + i % 2 * LANE;
      return lanes;
    }();
    auto both = (__m512i)_mm512_cvtne2ps_pbh((__m512)v[1], (__m512)v[0]);
    _mm512_storeu_si512(p, _mm512_permutexvar_epi16(_mm512_load_si512(turns.data()), both));
  }
#endif
}

// One block's kernels of SIDE x SIDE, times the `style` of their input channels if there is one, to the factors that
// scheme S multiplies. `energy` (I, width) becomes the squared length of each kernel, if wanted.
template <class S, int SIDE, class T>
void pack(const Kernels& w, const Weight& shape, int64_t block, T* packed, const float* style, float* energy) {
  constexpr int FACTORS = S::KERNELS, AREA = SIDE * SIDE;
  int64_t wide = shape.width(block), stride = shape.factor_stride(block);
  alignas(64) float taps[LANE * AREA][LANE];
  for (int64_t c = 0; c < shape.into; c += LANE) {
    for (int64_t first = 0; first < wide; first += LANE) {
      gather<AREA>(w, block * BLOCK + first, c, taps);
      for (int64_t i = 0; i < LANE; i += PAIR<T>) {
        std::array<std::array<std::array<floats, SIDE>, FACTORS>, PAIR<T>> half;
        for (int64_t pair = 0; pair < PAIR<T>; pair++) {
          const auto* kernel = taps + (i + pair) * AREA;
          floats squares{};
          each<SIDE>([&](auto x) {
            std::array<floats, SIDE> column;
            each<SIDE>([&](auto y) {
              int k = y * SIDE + x;
              floats tap = load(kernel[w.flip ? AREA - 1 - k : k]);
              squares += tap * tap;
              column[y] = style ? tap * style[c + i + pair] : tap;
            });
            auto found = S::weights(column);
            each<FACTORS>([&](auto y) { half[pair][y][x] = found[y]; });
          });
          if (energy) store(energy + (c + i + pair) * wide + first, squares);
        }
        T* to = packed + (c + i) * wide + first * PAIR<T>;
        each<FACTORS>([&](auto y) {
          std::array<std::array<floats, FACTORS>, PAIR<T>> found;
          for (int64_t pair = 0; pair < PAIR<T>; pair++) found[pair] = S::weights(half[pair][y]);
          each<FACTORS>([&](auto x) {
            std::array<floats, PAIR<T>> both;
            for (int64_t pair = 0; pair < PAIR<T>; pair++) both[pair] = found[pair][x];
            store_side_by_side(to + (y * FACTORS + x) * stride, both);
          });
        });
      }
    }
  }
}

// The reciprocal lengths of one block's kernels once styles (N, I) scale them, into scale (N, O).
inline void demodulate(const Weight& shape, int64_t block, const float* energy, const float* styles, int64_t images,
                       float* scale) {
  int64_t wide = shape.width(block);
  for (int64_t n = 0; n < images; n++) {
    const float* style = styles + n * shape.into;
    for (int64_t o = 0; o < wide; o += LANE) {
      floats even{}, odd{};
      for (int64_t c = 0; c < shape.into; c += 2) {
        even += load(energy + c * wide + o) * (style[c] * style[c]);
        odd += load(energy + (c + 1) * wide + o) * (style[c + 1] * style[c + 1]);
      }
      floats total = even + odd;
      float* to = scale + n * shape.out + block * BLOCK + o;
      for (int64_t i = 0; i < LANE; i++) to[i] = 1 / std::sqrt(total[i] + 1e-8f);
    }
  }
}

}  // namespace histoxplain
