// Filters of four taps along both axes of channels-last images, several rows of the result at once: each value is then
// loaded and converted seldom, and what is summed stays in registers.
#pragma once

#include <array>

#include "fir.h"

namespace histoxplain {

constexpr int TAPS = 4;
constexpr int STRIP = VECTOR_BYTES == 64 ? 4 : 2;  // rows whose sums fit into the registers

// An upfirdn2d that neither enlarges nor shrinks.
struct Filter {
  Axis y, x;
  std::vector<Product> terms;
  int64_t channels;

  Filter(const Tensor& image, const Tensor& f, const std::vector<int64_t>& padding, bool flip, double gain)
      : y(image.size(2), f.size(0), 1, 1, padding[2], padding[3]),
        x(image.size(3), f.size(f.dim() - 1), 1, 1, padding[0], padding[1]),
        terms(products(f, flip, gain)),
        channels(image.size(1)) {}

  bool fits_strips(const Tensor& image) const {
    bool short_one = y.taps == TAPS && x.taps == TAPS && terms.size() == 1;
    return short_one && is_channels_last(image) && channels % (VECTOR_BYTES / (int64_t)sizeof(float)) == 0;
  }

  int64_t row() const { return x.in * channels; }
  int64_t result_row() const { return x.out * channels; }
  int64_t strips() const { return (y.out + STRIP - 1) / STRIP; }
};

template <class T>
class Strips {
  using S = scalar_of<T>;
  using V = vector_of<T>;
  static constexpr int64_t L = LANES<T>, BLOCK = 32;  // columns whose lines of memory stay in the first cache

 public:
  explicit Strips(const Filter& filter) : y(filter.y), x(filter.x), channels(filter.channels), zeros(filter.row()) {
    std::copy_n(filter.terms[0].vertical.begin(), TAPS, vertical.begin());
    std::copy_n(filter.terms[0].horizontal.begin(), TAPS, horizontal.begin());
  }

  // One strip of the result of an image.
  void make(const T* image, int64_t strip, T* to) const {
    int64_t o = strip * STRIP;
    if (o + STRIP <= y.out) return rows<STRIP>(image, o, to);
    for (; o < y.out; o++) rows<1>(image, o, to);
  }

 private:
  template <int R>
  void rows(const T* image, int64_t o, T* to) const {
    const T* from[R + TAPS - 1];
    for (int k = 0; k < R + TAPS - 1; k++) {
      int64_t i = o - y.pad + k;
      from[k] = i >= 0 && i < y.in ? image + i * x.in * channels : zeros.data();
    }
    const T* next = from[R + TAPS - 2] + x.in * channels;
    const int64_t blocks = std::max<int64_t>(1, x.out / BLOCK);
    for (int64_t block = 0; block < blocks; block++) {
      int64_t first = block * x.out / blocks, last = (block + 1) * x.out / blocks;
      for (int64_t c = 0; c < channels; c += L) {
        columns<R>(from, first, last, c, next, to + o * x.out * channels);
        next += R * (last - first) * L;
      }
    }
  }

  // One vector of channels, from left to right; `next` is what will be needed soon.
  template <int R>
  void columns(const T* const* rows, int64_t first, int64_t last, int64_t c, const T* next, T* to) const {
    const int64_t in = x.in, out = x.out, pad = x.pad, unit = channels;  // the compiler cannot know that they stay
    const std::array<S, TAPS> down = vertical, across = horizontal;
    const T* from[R + TAPS - 1];
    for (int k = 0; k < R + TAPS - 1; k++) from[k] = rows[k] + c;
    V window[R][TAPS];
    auto fetch = [&](int64_t at, int slot) INLINE {
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) window[r][slot] = V{};
      if (at < 0 || at >= in) return;
#pragma GCC unroll 8
      for (int k = 0; k < R + TAPS - 1; k++) {
        V value = load(from[k] + at * unit);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
          if (k < r || k - r >= TAPS) continue;
          window[r][slot] = multiply_add(value, splat<V>(down[k - r]), window[r][slot]);
        }
      }
    };
    // `oldest` is the place in the window of the first of the inputs that this column looks at.
    auto column = [&](int64_t at, int oldest) INLINE {
      prefetch(next + (at - first) * R * L, R * L);
      fetch(at - pad + TAPS - 1, (oldest + TAPS - 1) % TAPS);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        V total{};
#pragma GCC unroll 4
        for (int k = 0; k < TAPS; k++) {
          total = multiply_add(window[r][(oldest + k) % TAPS], splat<V>(across[k]), total);
        }
        T* made = to + (r * out + at) * unit + c;
        store(made, total);
        __builtin_prefetch(made + 8 * unit, 1);
      }
    };
    for (int k = 0; k + 1 < TAPS; k++) fetch(first + k - pad, k);
    int64_t at = first;
    for (; at + TAPS <= last; at += TAPS) column(at, 0), column(at + 1, 1), column(at + 2, 2), column(at + 3, 3);
    for (int k = 0; k + 1 < TAPS; k++) {
      if (at + k < last) column(at + k, k);
    }
  }

  const Axis &y, &x;
  int64_t channels;
  std::vector<T> zeros;
  std::array<S, TAPS> vertical, horizontal;
};

}  // namespace histoxplain
