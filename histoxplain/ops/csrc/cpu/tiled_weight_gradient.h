// The gradient of a 3x3 convolution's weight from transformed tiles of what went in and what comes back: the transpose of
// what a scheme does to kernels. Fewer multiplications than tap by tap, see schemes.h.
#pragma once

#include <tuple>
#include <vector>

#include "accumulate.h"
#include "winograd.h"

namespace histoxplain {

constexpr int64_t GRADIENT_BYTES = 1 << 20;  // of transformed tiles that are multiplied at a time
constexpr int64_t LEAST_PIXELS = 4096;       // from which this is faster than tap by tap

// Whether shapes allow tiles, and there are enough of them.
inline bool tiles_pay(const Tensor& x, const Tensor& dy, const Tensor& dw) {
  bool fits = dw.size(2) == 3 && dw.size(3) == 3 && x.size(1) % CHANNELS == 0 && dy.size(1) % CHANNELS == 0;
  return fits && dy.size(0) * dy.size(2) * dy.size(3) >= LEAST_PIXELS;
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

  // The memory of `most` rows for each of `threads`.
  Factors(const Plane<T>& in, int64_t most, int64_t threads, Room& room)
      : step(in.channels + CHANNELS), in_(in), term_(most * step), share_(TERMS * TERMS * term_),
        memory_(room.take<F>(threads * share_)), edge_(PAIR<T> * READS * READS * in.channels) {}

  // The part of one thread.
  Factors of(int64_t thread) const {
    Factors part = *this;
    part.memory_ += thread * share_;
    return part;
  }

  const F* at(int term, int64_t channel) const { return memory_ + term * term_ + channel; }

  // Tiles at (n, top, left) as row `row`, times `style`, whose rows for images lie `image` apart, and transformed by
  // `along` each axis.
  template <class Along>
  void take(int64_t row, const std::array<std::array<int64_t, 3>, PAIR<T>>& corners, const float* style, int64_t image,
            const Along& along) {
    std::array<const T*, PAIR<T>> from;
    std::array<int64_t, PAIR<T>> rows;
    for (int64_t p = 0; p < PAIR<T>; p++) {
      auto [n, top, left] = corners[p];
      from[p] = window<READS>(in_, n, top, left, edge_.data() + p * READS * READS * in_.channels, rows[p]);
    }
    for (int64_t c = 0; c < in_.channels; c += LANE) {
      std::array<std::array<std::array<floats, READS>, TERMS>, PAIR<T>> half;
      each<PAIR<T>>([&](auto p) {
        floats scale = load(style + corners[p][0] * image + c);
        each<READS>([&](auto j) {
          std::array<floats, READS> column;
          each<READS>([&](auto i) { column[i] = load(from[p] + i * rows[p] + j * in_.channels + c) * scale; });
          auto terms = along(column);
          each<TERMS>([&](auto i) { half[p][i][j] = terms[i]; });
        });
      });
      F* to = memory_ + row * step + c;
      each<TERMS>([&](auto i) {
        std::array<std::array<floats, TERMS>, PAIR<T>> terms;
        each<PAIR<T>>([&](auto p) { terms[p] = along(half[p][i]); });
        each<TERMS>([&](auto j) {
          std::array<floats, PAIR<T>> factors;
          each<PAIR<T>>([&](auto p) { factors[p] = terms[p][j]; });
          store_factors<T>(to + (i * TERMS + j) * term_, factors);
        });
      });
    }
  }

  int64_t step;  // from row to row

 private:
  const Plane<T>& in_;
  int64_t term_, share_;
  F* memory_;
  std::vector<T> edge_;
};

// What all threads' sums of products (terms along both axes, IN x OUT) make of a block of the weight.
template <class S, class T>
void gradient_block(const float* sums, int64_t term, int64_t part, int64_t parts, float* dw, int64_t into, int64_t o,
                    int64_t most) {
  constexpr int TERMS = S::PRODUCTS;
  for (int64_t i = 0; i < IN * OUT<T>; i += LANE) {
    std::array<std::array<floats, TERMS>, 3> half;
    each<TERMS>([&](auto x) {
      std::array<floats, TERMS> column;
      each<TERMS>([&](auto y) {
        const float* at = sums + (y * TERMS + x) * term + i;
        column[y] = load(at);
        for (int64_t p = 1; p < parts; p++) column[y] += load(at + p * part);
      });
      auto taps = S::gradient(column);
      each<3>([&](auto y) { half[y][x] = taps[y]; });
    });
    int64_t first = o + i % OUT<T>;
    each<3>([&](auto y) {
      auto taps = S::gradient(half[y]);
      each<3>([&](auto x) {
        for (int64_t lane = 0; lane < std::min(LANE, most - first); lane++) {
          dw[(first + lane) * into * 9 + i / OUT<T> * 9 + y * 3 + x] = taps[x][lane];
        }
      });
    });
  }
}

// `style` scales what went in, (N, C) if there is one.
template <class S, class T>
void tiled_weight_gradient(const Tensor& x, const std::optional<Tensor>& style, const Tensor& dy, const Tensor& dw) {
  constexpr int TERMS = S::PRODUCTS, ALL = TERMS * TERMS;
  Plane<T> in = unbordered<T>(x), from = unbordered<T>(dy);
  Tiling<S> tiling(in, from.width, 0, from.height);
  int64_t row = ALL * (in.channels + from.channels + 2 * CHANNELS) * (int64_t)sizeof(typename Factor<T>::type);
  int64_t most = std::max<int64_t>(GRADIENT_BYTES / row, 16), tiles = tiling.tiles(), rows = ceil_div(tiles, PAIR<T>);
  int64_t parts = std::min<int64_t>(torch::stable::get_num_threads(), ceil_div(rows, most));
  int64_t bands = ceil_div(ceil_div(rows, most), parts) * parts;
  int64_t groups = in.channels / IN, term = groups * ceil_div(from.channels, OUT<T>) * IN * OUT<T>, part = ALL * term;
  auto place = [&](Room room) {
    Factors<S::READS, TERMS, T> xs(in, most, parts, room);
    Factors<S::MADE, TERMS, T> dys(from, most, parts, room);
    float* sums = room.take<float>(parts * part);  // of each thread, added up in their order
    return std::tuple(xs, dys, sums, room.used);
  };
  std::vector<float> ones(std::max(in.channels, from.channels), 1);
  const float* styles = style ? read<float>(*style) : ones.data();
  int64_t image = style ? in.channels : 0;
  Tensor memory = torch::stable::new_empty(dw, {std::get<3>(place(Room()))}, ScalarType::Byte);
  auto places = place(Room(memory));
  float* sums = std::get<2>(places);
  torch::stable::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    auto xs = std::get<0>(places).of(begin);
    auto dys = std::get<1>(places).of(begin);
    std::fill_n(sums + begin * part, (end - begin) * part, 0.0f);
    for (int64_t band = begin * bands / parts; band < end * bands / parts; band++) {
      int64_t first = band * rows / bands * PAIR<T>, last = std::min((band + 1) * rows / bands * PAIR<T>, tiles);
      std::array<std::array<int64_t, 3>, PAIR<T>> corners, returned;
      tiling.visit(first, last - first, [&](int64_t i, int64_t n, int64_t v, int64_t u) {
        constexpr int64_t SEEN = S::READS - S::STEP - S::PAD;  // by the tiles before
        expect<S::STEP, false>(in, n, v * S::STEP + SEEN, (u + AHEAD) * S::STEP + SEEN, 0, in.channels);
        expect<S::MADE, false>(from, n, v * S::MADE, (u + AHEAD) * S::MADE, 0, from.channels);
        int64_t p = i % PAIR<T>;
        corners[p] = {n, v * S::STEP - S::PAD, u * S::STEP - S::PAD};
        returned[p] = {n, v * S::MADE, u * S::MADE};
        if (first + i + 1 == tiles && p + 1 < PAIR<T>) corners[p + 1] = returned[p + 1] = {n, in.height, in.width};
        else if (p + 1 < PAIR<T>) return;
        xs.take(i / PAIR<T>, corners, styles, image, [](const auto& d) { return S::input(d); });
        dys.take(i / PAIR<T>, returned, ones.data(), 0, [](const auto& d) { return S::returned(d); });
      });
      float* to = sums + begin * part;
      for (int k = 0; k < ALL; k++) {
        for (int64_t o = 0; o < from.channels; o += OUT<T>) {
          for (int64_t c = 0; c < in.channels; c += IN, to += IN * OUT<T>) {
            accumulate<T>(xs.at(k, c), dys.at(k, o), to, 1, ceil_div(last - first, PAIR<T>), 0, xs.step, dys.step);
          }
        }
      }
    }
  });
  torch::stable::parallel_for(0, term / (IN * OUT<T>), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      float* to = write<float>(dw) + block % groups * IN * 9;
      gradient_block<S, T>(sums + block * IN * OUT<T>, term, part, parts, to, in.channels,
                           block / groups * OUT<T>, from.channels);
    }
  });
}

}  // namespace histoxplain
