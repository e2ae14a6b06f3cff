// The gradient of a 3x3 convolution's weight from transformed tiles of what went in and what comes back: the transpose
// of what a scheme does to kernels. Fewer multiplications than tap by tap, see schemes.h.
#pragma once

#include <tuple>
#include <vector>

#include "accumulate.h"
#include "winograd.h"

namespace histoxplain {

constexpr int64_t GRADIENT_BYTES = 3 << 20;  // of transformed tiles that are multiplied at a time
constexpr int64_t TOGETHER = 2;              // rows of factors that a thread makes before it takes the next
constexpr int64_t DEEP = CHANNELS;           // input channels whose sums become weights together

// Whether there are tiles for these shapes.
inline bool fits_tiles(const Tensor& x, const Tensor& dy, const Tensor& dw) {
  return dw.size(2) == 3 && dw.size(3) == 3 && x.size(1) % CHANNELS == 0 && dy.size(1) % CHANNELS == 0;
}

// A factor for each of LANE channels: a value of one tile, or of each of a pair.
template <class T>
void store_factors(typename Factor<T>::type* to, const std::array<floats, PAIR<T>>& v) {
  if constexpr (PAIR<T> == 1) store(to, v[0]);
  else store_side_by_side(reinterpret_cast<T*>(to), v);
}

// Tiles as rows of factors: (terms along both axes, tiles or pairs of them, channels and some more).
template <int READS, int TERMS, class T>
class Factors {
 public:
  using F = typename Factor<T>::type;
  using Corner = std::array<int64_t, 3>;  // of a tile: image, row, column

  // The memory of `most` rows.
  Factors(const Plane<T>& in, int64_t most, Room& room)
      : step(in.channels + CHANNELS), in_(in), term_(most * step), memory_(room.take<F>(TERMS * TERMS * term_)),
        nothing_(in.channels) {}

  const F* at(int term, int64_t channel) const { return memory_ + term * term_ + channel; }

  // A pair of tiles, or one, as row `row`, times `style`, whose rows for images lie `image` apart, and transformed by
  // `along` each axis.
  template <class Along>
  void take(int64_t row, const std::array<Corner, PAIR<T>>& corners, const float* style, int64_t image,
            const Along& along) const {
    const T* pixels[PAIR<T>][READS][READS];
    const int64_t term = term_, next = step;  // the compiler cannot know that they stay
    for (int64_t p = 0; p < PAIR<T>; p++) find(corners[p], pixels[p]);
    for (int64_t c = 0; c < in_.channels; c += LANE) {
      alignas(64) float half[PAIR<T>][TERMS][READS][LANE];  // loops over these stay loops, what they hold is unrolled
      for (int64_t p = 0; p < PAIR<T>; p++) {
        floats scale = load(style + corners[p][0] * image + c);
        for (int j = 0; j < READS; j++) {
          std::array<floats, READS> column;
          each<READS>([&](auto i) { column[i] = load(pixels[p][i][j] + c) * scale; });
          auto terms = along(column);
          each<TERMS>([&](auto i) { store(half[p][i][j], terms[i]); });
        }
      }
      F* to = memory_ + row * step + c;
      for (int i = 0; i < TERMS; i++, to += TERMS * term) {
        std::array<std::array<floats, TERMS>, PAIR<T>> terms;
        each<PAIR<T>>([&](auto p) {
          std::array<floats, READS> across;
          each<READS>([&](auto j) { across[j] = load(half[p][i][j]); });
          terms[p] = along(across);
        });
        each<TERMS>([&](auto j) {
          std::array<floats, PAIR<T>> factors;
          each<PAIR<T>>([&](auto p) { factors[p] = terms[p][j]; });
          store_factors<T>(to + j * term, factors);
          __builtin_prefetch(to + j * term + next, 1);
        });
      }
    }
  }

  int64_t step;  // from row to row

 private:
  // Where each pixel of a tile lies; zeros beyond the image.
  void find(const Corner& corner, const T* (&pixels)[READS][READS]) const {
    auto [n, top, left] = corner;
    for (int64_t i = 0; i < READS; i++) {
      for (int64_t j = 0; j < READS; j++) {
        int64_t y = top + i, x = left + j;
        bool inside = y >= 0 && y < in_.height && x >= 0 && x < in_.width;
        pixels[i][j] = inside ? in_.at(n, y, x) : nothing_.data();
      }
    }
  }

  const Plane<T>& in_;
  int64_t term_;
  F* memory_;
  std::vector<T> nothing_;
};

// What sums of products (terms along both axes, blocks of IN x OUT) make of the weight of DEEP input channels and up to
// OUT output channels, whose rows lie `row` apart.
template <class S, class T>
void gradient_block(const float* sums, int64_t term, float* dw, int64_t row, int64_t out) {
  constexpr int TERMS = S::KERNELS;
  alignas(64) float taps[DEEP * 9][OUT<T>];
  for (int64_t i = 0; i < DEEP * OUT<T>; i += LANE) {
    std::array<std::array<floats, TERMS>, 3> half;
    each<TERMS>([&](auto x) {
      std::array<floats, TERMS> column;
      each<TERMS>([&](auto y) { column[y] = load(sums + (y * TERMS + x) * term + i); });
      auto found = S::gradient(column);
      each<3>([&](auto y) { half[y][x] = found[y]; });
    });
    each<3>([&](auto y) {
      auto found = S::gradient(half[y]);
      each<3>([&](auto x) { store(&taps[i / OUT<T> * 9 + y * 3 + x][i % OUT<T>], found[x]); });
    });
  }
  for (int64_t o = 0; o < std::min(OUT<T>, out); o += LANE) {
    for (int64_t first = 0; first < DEEP * 9; first += LANE) {
      std::array<floats, LANE> rows;
      each<LANE>([&](auto i) { rows[i] = load(&taps[first + i][o]); });
      transpose<1>(rows);
      each<LANE>([&](auto i) { store(dw + (o + i) * row + first, rows[i]); });
    }
  }
}

// Adds the products of `count` rows of factors to the sums of kernel (y, x), blocks of IN x OUT, or begins them.
template <class S, class T, class X, class Y>
void add_products(const X& xs, const Y& dys, int64_t count, int64_t in, int64_t out, int y, int x, float* sums,
                  bool begun) {
  constexpr int64_t block = IN * OUT<T>;
  if (!begun) std::fill_n(sums, in / IN * ceil_div(out, OUT<T>) * block, 0.0f);
  for (int k = 0; k < S::TERMS * S::TERMS; k++) {
    int v = k / S::TERMS, u = k % S::TERMS, back = S::back(v) * S::BACK + S::back(u);
    if (S::kernel(v) != y || S::kernel(u) != x) continue;
    float* to = sums;
    for (int64_t o = 0; o < out; o += OUT<T>) {
      for (int64_t c = 0; c < in; c += IN, to += block) {
        accumulate<T>(xs.at(k, c), dys.at(back, o), to, 1, count, 0, xs.step, dys.step);
      }
    }
  }
}

// `style` scales what went in, (N, C) if there is one. All threads transform a band of tiles, and then each multiplies the
// terms of some kernels: a sum has one place and one order.
template <class S, class T>
void tiled_weight_gradient(const Tensor& x, const std::optional<Tensor>& style, const Tensor& dy, const Tensor& dw) {
  constexpr int TERMS = S::TERMS, BACK = S::BACK, KERNELS = S::KERNELS;
  Plane<T> in = unbordered<T>(x), from = unbordered<T>(dy);
  Tiling<S> tiling(in, from.width, 0, from.height);
  int64_t row = (TERMS * TERMS * (in.channels + CHANNELS) + BACK * BACK * (from.channels + CHANNELS)) *
                (int64_t)sizeof(typename Factor<T>::type);
  int64_t most = std::max<int64_t>(GRADIENT_BYTES / row, 16), tiles = tiling.tiles(), rows = ceil_div(tiles, PAIR<T>);
  int64_t bands = ceil_div(rows, most), groups = in.channels / IN, block = IN * OUT<T>;
  int64_t term = groups * ceil_div(from.channels, OUT<T>) * block;
  auto place = [&](Room room) {
    Factors<S::READS, TERMS, T> xs(in, most, room);
    Factors<S::MADE, BACK, T> dys(from, most, room);
    float* sums = room.take<float>(KERNELS * KERNELS * term);
    return std::tuple(xs, dys, sums, room.used);
  };
  std::vector<float> ones(std::max(in.channels, from.channels), 1);
  const float* styles = style ? read<float>(*style) : ones.data();
  int64_t image = style ? in.channels : 0;
  const auto places = place(kept_room(std::get<3>(place(Room()))));
  const auto& xs = std::get<0>(places);
  const auto& dys = std::get<1>(places);
  float* sums = std::get<2>(places);
  auto take = [&](int64_t start, int64_t begin, int64_t end) {  // rows, the first of which is `start`
    int64_t first = begin * PAIR<T>, last = std::min(end * PAIR<T>, tiles);
    std::array<std::array<int64_t, 3>, PAIR<T>> corners, returned;
    tiling.visit(first, last - first, [&](int64_t i, int64_t n, int64_t v, int64_t u) {
      bool low = v + 1 == tiling.parts[0].rows;  // the memory of the next row of tiles is asked for
      int64_t m = low ? std::min(n + 1, in.images - 1) : n, y = low ? 0 : v + 1;
      expect<S::STEP, false>(in, m, y * S::STEP, u * S::STEP, 0, in.channels);
      expect<S::MADE, false>(from, m, y * S::MADE, u * S::MADE, 0, from.channels);
      int64_t p = i % PAIR<T>;
      corners[p] = {n, v * S::STEP - S::PAD, u * S::STEP - S::PAD};
      returned[p] = {n, v * S::MADE, u * S::MADE};
      if (first + i + 1 == tiles && p + 1 < PAIR<T>) corners[p + 1] = returned[p + 1] = {n, in.height, in.width};
      else if (p + 1 < PAIR<T>) return;
      int64_t to = begin - start + i / PAIR<T>;
      xs.take(to, corners, styles, image, [](const auto& d) { return S::input(d); });
      dys.take(to, returned, ones.data(), 0, [](const auto& d) { return S::returned(d); });
    });
  };
  for (int64_t band = 0; band < bands; band++) {
    int64_t start = band * rows / bands, count = (band + 1) * rows / bands - start;
    share_out(ceil_div(count, TOGETHER), [&](int64_t item, int64_t) {
      take(start, start + item * TOGETHER, start + std::min((item + 1) * TOGETHER, count));
    });
    share_out(KERNELS * KERNELS, [&](int64_t item, int64_t) {
      int64_t kernel = KERNELS * KERNELS - 1 - item;  // those with most products first
      add_products<S, T>(xs, dys, count, in.channels, from.channels, kernel / KERNELS, kernel % KERNELS,
                         sums + kernel * term, band > 0);
    });
  }
  constexpr int64_t together = DEEP / IN;
  share_out(term / block / together, [&](int64_t item, int64_t) {
    int64_t i = item * together, o = i / groups * OUT<T>, row = in.channels * 9;
    gradient_block<S, T>(sums + i * block, term, write<float>(dw) + o * row + i % groups * IN * 9, row,
                         from.channels - o);
  });
}

}  // namespace histoxplain
