// 1x1 convolutions between many channels and few, the colours of an image, with weights of their own for each image:
// they wait for memory, so it is passed over once. Images lie as (N, H, W, C).
#include <array>
#include <vector>

#include "layout.h"

namespace histoxplain {
namespace {

constexpr int64_t MOST_FEW = 4;
constexpr int WIDE = 4;  // vectors of channels whose weights or sums, for each of the few, stay in registers

// What is on either side. The many are whole vectors.
struct Sides {
  int64_t images, pixels, many, few;
  bool narrowing;  // from many to few

  Sides(const Tensor& x, const Tensor& y)
      : images(x.size(0)),
        pixels(x.size(2) * x.size(3)),
        many(std::max(x.size(1), y.size(1))),
        few(std::min(x.size(1), y.size(1))),
        narrowing(x.size(1) > y.size(1)) {
    auto lies = [&](const Tensor& t) { return is_channels_last(t) || (t.size(1) == 1 && t.is_contiguous()); };
    STD_TORCH_CHECK(lies(x) && lies(y) && x.scalar_type() == y.scalar_type() && many % 16 == 0 && few <= MOST_FEW,
                    "`x` and `y` must be channels last, of one type, one with channels in multiples of 16, one with few");
  }
};

template <class F>
void by_few(int64_t few, F&& f) {
  switch (few) {
    case 1:
      return f(std::integral_constant<int, 1>{});
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 3:
      return f(std::integral_constant<int, 3>{});
    default:
      return f(std::integral_constant<int, 4>{});
  }
}

template <class F>
void by_storage(const Tensor& x, F&& f) {
  if (x.scalar_type() == ScalarType::BFloat16) return f(bfloat16{});
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "`x` must be float32 or bfloat16");
  f(float{});
}

// Calls f with (channel, number of vectors) until all of `many` are taken.
template <class T, class F>
void by_width(int64_t many, F&& f) {
  int64_t c = 0;
  for (; c + WIDE * LANES<T> <= many; c += WIDE * LANES<T>) f(c, std::integral_constant<int, WIDE>{});
  for (; c < many; c += LANES<T>) f(c, std::integral_constant<int, 1>{});
}

// Numbers as floats, whole vectors of them and a rest.
template <class T>
void widen(const T* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + LANES<T> <= n; i += LANES<T>) store(to + i, load(from + i));
  if (i < n) store(to + i, load(from + i, n - i), n - i);
}

// Of PIXELS pixels: the products of x[p][c] and w[f][c], of which only the lanes are left to be summed.
template <int PIXELS, int FEW, class T>
void multiply(const T* x, const float* w, floats* totals, int64_t many) {
  floats sums[PIXELS * FEW] = {};
  for (int64_t c = 0; c < many; c += LANES<T>) {
    floats weights[FEW];
#pragma GCC unroll 4
    for (int f = 0; f < FEW; f++) weights[f] = load(w + f * many + c);
#pragma GCC unroll 4
    for (int p = 0; p < PIXELS; p++) {
      floats value = load(x + p * many + c);
#pragma GCC unroll 4
      for (int f = 0; f < FEW; f++) sums[p * FEW + f] = multiply_add(value, weights[f], sums[p * FEW + f]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < PIXELS * FEW; i++) totals[i] = sums[i];
}

// y[p][f] = sum over c of x[p][c] * w[f][c], as many pixels at once as a vector has lanes.
template <int FEW, class T>
void to_few(const T* x, const float* w, T* y, int64_t pixels, int64_t many) {
  constexpr int64_t L = LANES<T>;
  for (int64_t first = 0; first < pixels; first += L) {
    int64_t count = std::min(L, pixels - first), p = 0;
    std::array<std::array<floats, L>, FEW> totals{};  // of pixel after pixel
    floats* next = totals[0].data();
    for (; p + 4 <= count; p += 4) multiply<4, FEW>(x + (first + p) * many, w, next + p * FEW, many);
    for (; p < count; p++) multiply<1, FEW>(x + (first + p) * many, w, next + p * FEW, many);
    for (int64_t i = 0; i < count * FEW; i += L) {
      T* to = y + first * FEW + i;
      floats sums = folded<1>(totals[i / L]);
      count * FEW - i < L ? store(to, sums, count * FEW - i) : store(to, sums);
    }
  }
}

// y[p][c] = sum over f of x[p][f] * w[f][c]
template <int FEW, class T>
void to_many(const float* x, const float* w, T* y, int64_t pixels, int64_t many) {
  by_width<T>(many, [&](int64_t c, auto width) {
    constexpr int W = decltype(width)::value;
    floats weights[FEW][W];
    for (int f = 0; f < FEW; f++) {
      for (int k = 0; k < W; k++) weights[f][k] = load(w + f * many + c + k * LANES<T>);
    }
    for (int64_t p = 0; p < pixels; p++) {
#pragma GCC unroll 4
      for (int k = 0; k < W; k++) {
        floats total = weights[0][k] * x[p * FEW];
#pragma GCC unroll 4
        for (int f = 1; f < FEW; f++) total = multiply_add(weights[f][k], splat<floats>(x[p * FEW + f]), total);
        store(y + p * many + c + k * LANES<T>, total);
      }
    }
  });
}

// w[f][c] += sum over p of x[p][f] * y[p][c]
template <int FEW, class T>
void add_products(const float* x, const T* y, float* w, int64_t pixels, int64_t many) {
  by_width<T>(many, [&](int64_t c, auto width) {
    constexpr int W = decltype(width)::value;
    floats totals[FEW][W];
    for (int f = 0; f < FEW; f++) {
      for (int k = 0; k < W; k++) totals[f][k] = load(w + f * many + c + k * LANES<T>);
    }
    for (int64_t p = 0; p < pixels; p++) {
#pragma GCC unroll 4
      for (int k = 0; k < W; k++) {
        floats value = load(y + p * many + c + k * LANES<T>);
#pragma GCC unroll 4
        for (int f = 0; f < FEW; f++) {
          totals[f][k] = multiply_add(value, splat<floats>(x[p * FEW + f]), totals[f][k]);
        }
      }
    }
    for (int f = 0; f < FEW; f++) {
      for (int k = 0; k < W; k++) store(w + f * many + c + k * LANES<T>, totals[f][k]);
    }
  });
}

constexpr int64_t PIECE = 256;  // pixels that are passed over at once

// x (N, I, H, W) and w (N, O, I) to y (N, O, H, W)
void pointwise(Tensor x, Tensor weight, Tensor y) {
  Sides sides(x, y);
  Tensor w = *parameter(weight, ScalarType::Float);
  STD_TORCH_CHECK(w.numel() == sides.images * sides.many * sides.few, "`w` has the wrong shape");
  int64_t many = sides.many, few = sides.few, pieces = (sides.pixels + PIECE - 1) / PIECE;
  by_storage(x, [&](auto element) {
    using T = decltype(element);
    by_few(few, [&](auto number) {
      constexpr int FEW = decltype(number)::value;
      share_range(sides.images * pieces, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> turned(FEW * many), colours(FEW * PIECE);
        for (int64_t i = begin; i < end; i++) {
          int64_t first = i % pieces * PIECE, count = std::min(PIECE, sides.pixels - first);
          int64_t at = i / pieces * sides.pixels + first;
          const float* own = read<float>(w) + i / pieces * many * few;
          if (sides.narrowing) {
            to_few<FEW>(read<T>(x) + at * many, own, write<T>(y) + at * few, count, many);
            continue;
          }
          for (int64_t k = 0; k < many * few; k++) turned[k % few * many + k / few] = own[k];
          widen(read<T>(x) + at * few, colours.data(), count * few);
          to_many<FEW>(colours.data(), turned.data(), write<T>(y) + at * many, count, many);
        }
      });
    });
  });
}

// dw (N, O, I), the sums over pixels of dy (N, O, H, W) times x (N, I, H, W)
void pointwise_weight_gradient(Tensor x, Tensor dy, Tensor dw) {
  Sides sides(x, dy);
  int64_t many = sides.many, few = sides.few;
  by_storage(x, [&](auto element) {
    using T = decltype(element);
    by_few(few, [&](auto number) {
      constexpr int FEW = decltype(number)::value;
      share_range(sides.images, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> totals(FEW * many), colours(FEW * PIECE);
        for (int64_t image = begin; image < end; image++) {
          std::fill(totals.begin(), totals.end(), 0.0f);
          for (int64_t first = 0; first < sides.pixels; first += PIECE) {
            int64_t count = std::min(PIECE, sides.pixels - first), at = image * sides.pixels + first;
            widen(read<T>(sides.narrowing ? dy : x) + at * few, colours.data(), count * few);
            add_products<FEW>(colours.data(), read<T>(sides.narrowing ? x : dy) + at * many, totals.data(), count, many);
          }
          float* own = write<float>(dw) + image * many * few;
          for (int64_t k = 0; k < many * few; k++) {
            own[k] = sides.narrowing ? totals[k] : totals[k % few * many + k / few];
          }
        }
      });
    });
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def("native_pointwise(Tensor x, Tensor w, Tensor(a!) y) -> ()");
  m.def("native_pointwise_weight_gradient(Tensor x, Tensor dy, Tensor(a!) dw) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("native_pointwise", TORCH_BOX(&pointwise));
  m.impl("native_pointwise_weight_gradient", TORCH_BOX(&pointwise_weight_gradient));
}

}  // namespace histoxplain
