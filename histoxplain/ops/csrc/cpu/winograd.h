// 3x3 convolutions with fewer multiplications (Winograd, 1980; Lavin & Gray, 2016): tiles of the image and the kernels
// are transformed, multiplied channel by channel as matrices, and what comes out is transformed back.
//
// A scheme says how that goes along one axis; a tile goes through it along both. Sums stay in float32 throughout;
// bfloat16 rounds the transformed tiles and kernels once each.
#pragma once

#include "convolve.h"

namespace histoxplain {

constexpr int64_t TILES_BYTES = 1 << 19;  // of transformed tiles that a thread multiplies at a time: half of L2

// f(0), f(1), ... with numbers that are known to the compiler, so that arrays of vectors stay in registers.
template <int N, class F>
inline __attribute__((always_inline)) void each(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

// Two values from four products instead of six.
struct Twos {
  static constexpr int READS = 4, STEP = 2, TERMS = 4, KERNELS = 4, PRODUCTS = 4, MADE = 2;
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

// Four values from six products instead of twelve, at the points 0, 1, -1, 2, -2 and infinity.
struct Fours {
  static constexpr int READS = 6, STEP = 4, TERMS = 6, KERNELS = 6, PRODUCTS = 6, MADE = 4;
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
    return {w[0] / 4, -(ends + w[1]) / 6, -(ends - w[1]) / 6, (far + 2 * w[1]) / 24, (far - 2 * w[1]) / 24, w[2]};
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
  static constexpr int READS = 3, STEP = 2, TERMS = 4, KERNELS = 4, PRODUCTS = 5, MADE = 4;
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

// Kernels as they are, multiplied tap by tap.
template <int SIDE>
struct TapByTap {
  static constexpr int KERNELS = SIDE;

  template <class V>
  static std::array<V, SIDE> weights(const std::array<V, SIDE>& w) {
    return w;
  }
};

// MADE x MADE neighbouring values of the result, for LANE channels of one image.
template <class S>
struct Patch {
  int64_t n, y, x, channel;
  std::array<std::array<floats, S::MADE>, S::MADE> values;

  // f(row, column, value) of those that lie within
  template <class F>
  void visit(int64_t height, int64_t width, F&& f) const {
    bool whole = y + S::MADE <= height && x + S::MADE <= width;
    if (whole) {
      each<S::MADE>([&](auto i) { each<S::MADE>([&](auto j) { f(i, j, values[i][j]); }); });
    } else {
      each<S::MADE>([&](auto i) {
        each<S::MADE>([&](auto j) {
          if (y + i < height && x + j < width) f(i, j, values[i][j]);
        });
      });
    }
  }
};

// How the tiles of rows `from` to `to` of tiles are shared out: in bands, whose transformed tiles stay in a thread's L2.
template <class S, class T>
struct Tiling {
  int64_t images, from, rows, columns, channels, threads, most, bands;

  Tiling(const Plane<T>& in, int64_t width, int64_t from_, int64_t to)
      : images(in.images), from(from_), rows(to - from_), columns(ceil_div(width, S::MADE)), channels(in.channels),
        threads(torch::stable::get_num_threads()) {
    int64_t strip = S::TERMS * S::TERMS * channels * (int64_t)sizeof(T) * PIXELS;
    int64_t fit = std::max<int64_t>(TILES_BYTES / strip, 1) * PIXELS;
    bands = ceil_div(ceil_div(tiles(), fit), threads) * threads;
    most = std::min(fit, ceil_div(tiles(), threads));
  }

  int64_t tiles() const { return images * rows * columns; }
  int64_t start(int64_t band) const { return band * tiles() / bands; }
  int64_t term_stride() const { return most * channels + 2 * CHANNELS; }  // no power of two, which caches dislike
  int64_t terms() const { return S::TERMS * S::TERMS * term_stride(); }
  int64_t edge() const { return S::READS * S::READS * channels; }
  int64_t sums() const { return S::PRODUCTS * S::PRODUCTS * (most + 1) * BLOCK; }
  int64_t room() const { return threads * (terms() + edge() + sums() * (int64_t)(sizeof(float) / sizeof(T)) + 192); }

  // f(i, image, row, column) of tiles `first` to `first + count`
  template <class F>
  void visit(int64_t first, int64_t count, F&& f) const {
    int64_t n = first / (rows * columns), y = first / columns % rows, x = first % columns;
    for (int64_t i = 0; i < count; i++) {
      f(i, n, from + y, x);
      if (++x == columns) x = 0, y++;
      if (y == rows) y = 0, n++;
    }
  }
};

// The transformed tile at (y, x) of tiles, of all channels times their style. `edge` has room for a tile.
template <class S, class T>
void transform(const Plane<T>& in, int64_t n, int64_t y, int64_t x, const float* style, T* edge, T* to,
               int64_t stride) {
  int64_t top = y * S::STEP - 1, left = x * S::STEP - 1, row = in.row();
  const T* from = in.at(n, top, left);
  auto within = [&](int64_t at, int64_t length) { return at >= -in.border && at < length + in.border; };
  bool whole = within(top, in.height) && within(top + S::READS - 1, in.height) && within(left, in.width) &&
               within(left + S::READS - 1, in.width);
  if (!whole) {  // a copy, with zeros beyond
    row = S::READS * in.channels;
    for (int64_t i = 0; i < S::READS * S::READS; i++) {
      int64_t v = top + i / S::READS, u = left + i % S::READS;
      T* pixel = edge + i * in.channels;
      if (within(v, in.height) && within(u, in.width)) std::copy_n(in.at(n, v, u), in.channels, pixel);
      else std::fill_n(pixel, in.channels, T{});
    }
    from = edge;
  }
  for (int64_t c = 0; c < in.channels; c += LANE) {
    floats scale = load(style + c);
    std::array<std::array<floats, S::READS>, S::TERMS> half;
    each<S::READS>([&](auto j) {
      std::array<floats, S::READS> column;
      each<S::READS>([&](auto i) { column[i] = load(from + i * row + j * in.channels + c) * scale; });
      auto terms = S::input(column);
      each<S::TERMS>([&](auto i) { half[i][j] = terms[i]; });
    });
    each<S::TERMS>([&](auto i) {
      auto terms = S::input(half[i]);
      each<S::TERMS>([&](auto j) { store(to + (i * S::TERMS + j) * stride + c, terms[j]); });
    });
  }
}

// The values that the products of one tile make, for LANE channels.
template <class S>
inline auto untransform(const float* sums, int64_t stride) {
  std::array<std::array<floats, S::PRODUCTS>, S::MADE> half;
  each<S::PRODUCTS>([&](auto j) {
    std::array<floats, S::PRODUCTS> column;
    each<S::PRODUCTS>([&](auto i) { column[i] = load(sums + (i * S::PRODUCTS + j) * stride); });
    auto made = S::output(column);
    each<S::MADE>([&](auto i) { half[i][j] = made[i]; });
  });
  std::array<std::array<floats, S::MADE>, S::MADE> made;
  each<S::MADE>([&](auto i) { made[i] = S::output(half[i]); });
  return made;
}

// Calls emit(patch) for every tile and vector of channels of `tiling`. Activations are multiplied by `styles` (N or 1, C);
// `weights` are packed for S.
template <class S, class T, class Emit>
void convolve_tiles(const Plane<T>& in, const Weight& shape, const T* weights, const float* styles,
                    int64_t styles_image, const Tiling<S, T>& tiling, T* room, const Emit& emit) {
  int64_t stride = tiling.term_stride(), share = tiling.room() / tiling.threads, bands = tiling.bands / tiling.threads;
  torch::stable::parallel_for(0, tiling.threads, 1, [&](int64_t begin, int64_t end) {
    const Emit sink = emit;  // where no store can change it
    for (int64_t band = begin * bands; band < end * bands; band++) {
      T* terms = room + band / bands * share / 64 * 64;
      T* edge = terms + ceil_div(tiling.terms(), 64) * 64;
      float* sums = reinterpret_cast<float*>(edge + ceil_div(tiling.edge(), 64) * 64);
      int64_t first = tiling.start(band), count = tiling.start(band + 1) - first, strips = ceil_div(count, PIXELS);
      tiling.visit(first, count, [&](int64_t i, int64_t n, int64_t y, int64_t x) {
        transform<S>(in, n, y, x, styles + n * styles_image, edge, terms + i * in.channels, stride);
      });
      for (int64_t block = 0; block < shape.blocks(); block++) {
        int64_t wide = shape.width(block), sums_stride = (count | 1) * wide;
        for (int product = 0; product < S::PRODUCTS * S::PRODUCTS; product++) {
          int i = product / S::PRODUCTS, j = product % S::PRODUCTS;
          const T* a = terms + (S::term(i) * S::TERMS + S::term(j)) * stride;
          Taps tap{1, {0}, {S::kernel(i) * S::KERNELS + S::kernel(j)}};
          for (int64_t strip = 0; strip < strips; strip++) {
            int64_t left = strip * count / strips, right = (strip + 1) * count / strips;
            tile_for<T>(right - left, wide)(a + left * in.channels, in.channels, tap, in.channels,
                                            weights + shape.start(block), shape.tap_stride(block),
                                            sums + product * sums_stride + left * wide);
          }
        }
        tiling.visit(first, count, [&](int64_t i, int64_t n, int64_t y, int64_t x) {
          for (int64_t o = 0; o < wide; o += LANE) {
            sink(Patch<S>{n, y * S::MADE, x * S::MADE, block * BLOCK + o,
                          untransform<S>(sums + i * wide + o, sums_stride)});
          }
        });
      }
    }
  });
}

// Where kernels lie: (O, I, k, k) or any transpose of it.
struct Kernels {
  const float* data;
  int64_t out, into, out_stride, into_stride;
  bool flip = false;  // turned by half a circle
};

// Two vectors, or one, as they lie side by side in a packed weight.
template <class T>
inline void store_side_by_side(T* p, const std::array<floats, PAIR<T>>& v) {
  if constexpr (PAIR<T> == 1) {
    store(p, v[0]);
  } else {
    std::array<halfwords, 2> bits;
    for (int i = 0; i < 2; i++) store(reinterpret_cast<T*>(&bits[i]), v[i]);
    words both = __builtin_convertvector(bits[0], words) | __builtin_convertvector(bits[1], words) << 16;
    std::memcpy(p, &both, sizeof both);
  }
}

// Kernels of SIDE x SIDE to the KERNELS x KERNELS factors that scheme S multiplies, as the inner loop reads them.
template <class S, int SIDE, class T>
void pack(const Kernels& w, const Weight& shape, T* packed) {
  constexpr int FACTORS = S::KERNELS, AREA = SIDE * SIDE;
  torch::stable::parallel_for(0, shape.blocks() * (shape.into / PAIR<T>), 64, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      int64_t block = task / (shape.into / PAIR<T>), c = task % (shape.into / PAIR<T>) * PAIR<T>;
      int64_t wide = shape.width(block), stride = shape.tap_stride(block);
      for (int64_t first = 0; first < wide; first += LANE) {
        std::array<std::array<floats, PAIR<T>>, FACTORS * FACTORS> factors;
        for (int64_t pair = 0; pair < PAIR<T>; pair++) {
          alignas(64) float taps[AREA][LANE] = {};
          for (int64_t i = 0; i < LANE; i++) {
            int64_t o = block * BLOCK + first + i;
            if (o >= w.out || c + pair >= w.into) continue;
            const float* kernel = w.data + o * w.out_stride + (c + pair) * w.into_stride;
            for (int k = 0; k < AREA; k++) taps[k][i] = kernel[w.flip ? AREA - 1 - k : k];
          }
          std::array<std::array<floats, SIDE>, FACTORS> half;
          each<SIDE>([&](auto j) {
            std::array<floats, SIDE> column;
            each<SIDE>([&](auto i) { column[i] = load(taps[i * SIDE + j]); });
            auto found = S::weights(column);
            each<FACTORS>([&](auto i) { half[i][j] = found[i]; });
          });
          each<FACTORS>([&](auto i) {
            auto found = S::weights(half[i]);
            each<FACTORS>([&](auto j) { factors[i * FACTORS + j][pair] = found[j]; });
          });
        }
        T* to = packed + shape.start(block) + c * wide + first * PAIR<T>;
        for (int k = 0; k < FACTORS * FACTORS; k++) store_side_by_side(to + k * stride, factors[k]);
      }
    }
  });
}

}  // namespace histoxplain
