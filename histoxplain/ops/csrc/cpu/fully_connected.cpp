// Fully connected layers of vectors, bias and activation included, and their gradients: matrices so small that calling
// a library for each product takes longer than the product.
#include <array>
#include <tuple>
#include <vector>

#include "layout.h"
#include "schemes.h"

namespace histoxplain {
namespace {

constexpr int64_t ROWS = 4, COLUMNS = 4;  // numbers, and vectors of them, whose sums stay in registers
constexpr int64_t LEAST = 1 << 16;        // products that a thread takes at least

// to[r][c] = factor * sum over k < count of a(k, r) * b[k][c], for r < R and C vectors of columns or fewer than one.
template <int64_t R, int64_t C, class T, class A, class Lanes>
void outer_block(const A& a, const T* b, int64_t b_row, int64_t count, T factor, T* to, int64_t row, Lanes lanes) {
  std::array<std::array<vector_of<T>, C>, R> sums{};
  for (int64_t k = 0; k < count; k++, b += b_row) {
    std::array<vector_of<T>, C> values;
    each<C>([&](auto c) INLINE { values[c] = get(b + c * LANES<T>, lanes); });
    each<R>([&](auto r) INLINE {
      auto scale = splat<vector_of<T>>(a(k, r));
      each<C>([&](auto c) INLINE { sums[r][c] = multiply_add(values[c], scale, sums[r][c]); });
    });
  }
  each<R>([&](auto r) INLINE {
    each<C>([&](auto c) INLINE { put(to + r * row + c * LANES<T>, sums[r][c] * factor, lanes); });
  });
}

// to[r][c] = factor * sum over k of a(k, r) * b[k][c], for r in first..last and c < width; rows of b and `to` have `width`.
template <class T, class A>
void outer(const A& a, const T* b, int64_t count, int64_t first, int64_t last, int64_t width, T factor, T* to) {
  using Whole = std::integral_constant<int64_t, LANES<T>>;
  auto rows = [&](auto many, int64_t r) {
    auto at = [&](int64_t k, int64_t i) INLINE { return a(k, r + i); };
    int64_t c = 0;
    for (; c + COLUMNS * LANES<T> <= width; c += COLUMNS * LANES<T>) {
      outer_block<many, COLUMNS>(at, b + c, width, count, factor, to + r * width + c, width, Whole());
    }
    for (; c + LANES<T> <= width; c += LANES<T>) {
      outer_block<many, 1>(at, b + c, width, count, factor, to + r * width + c, width, Whole());
    }
    if (c < width) outer_block<many, 1>(at, b + c, width, count, factor, to + r * width + c, width, width - c);
  };
  int64_t r = first;
  for (; r + ROWS <= last; r += ROWS) rows(std::integral_constant<int64_t, ROWS>{}, r);
  for (; r < last; r++) rows(std::integral_constant<int64_t, 1>{}, r);
}

// Products of R rows of a and C of b, each `count` long.
template <int64_t R, int64_t C, class T>
void inner_block(const T* a, const T* b, int64_t count, std::array<std::array<T, COLUMNS>, ROWS>& found) {
  std::array<std::array<vector_of<T>, C>, R> sums{};
  auto add = [&](int64_t k, auto lanes) INLINE {
    std::array<vector_of<T>, C> values;
    each<C>([&](auto c) INLINE { values[c] = get(b + c * count + k, lanes); });
    each<R>([&](auto r) INLINE {
      auto left = get(a + r * count + k, lanes);
      each<C>([&](auto c) INLINE { sums[r][c] = multiply_add(left, values[c], sums[r][c]); });
    });
  };
  int64_t k = 0;
  for (; k + LANES<T> <= count; k += LANES<T>) add(k, std::integral_constant<int64_t, LANES<T>>{});
  if (k < count) add(k, count - k);
  each<R>([&](auto r) { each<C>([&](auto c) { found[r][c] = sum<T>(sums[r][c]); }); });
}

void check_sizes(const Tensor& x, const Tensor& weight) {
  STD_TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1),
                  "`x` must be (N, I) and `weight` (O, I)");
}

// act(weight_gain * x (N, I) weight (O, I)' + bias_gain * bias (O)), with act(a) = gain * (a > 0 ? a : slope * a).
Tensor fully_connected(Tensor x, Tensor weight, Tensor bias, double weight_gain, double bias_gain, double slope,
                       double gain) {
  check_sizes(x, weight);
  STD_TORCH_CHECK(bias.dim() == 1 && bias.size(0) == weight.size(0), "`bias` must be (O,), as `weight` is (O, I)");
  ScalarType stored = x.scalar_type(), type = compute_type(stored);
  for (Tensor* t : {&x, &weight, &bias}) *t = *parameter(*t, type);
  int64_t n = x.size(0), into = x.size(1), out = weight.size(0);
  Tensor y = torch::stable::new_empty(x, {n, out});
  in_compute_type(type, [&](auto element) {
    using T = decltype(element);
    const T *a = read<T>(x), *b = read<T>(weight), *c = read<T>(bias);
    T* to = write<T>(y);
    int64_t grain = std::max(COLUMNS, LEAST / std::max<int64_t>(n * into, 1) / COLUMNS * COLUMNS);
    share_range(out, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end;) {
        int64_t columns = end - o >= COLUMNS ? COLUMNS : 1;
        for (int64_t i = 0; i < n;) {
          int64_t rows = n - i >= ROWS ? ROWS : 1;
          std::array<std::array<T, COLUMNS>, ROWS> found;
          auto run = rows == 1 ? (columns == 1 ? inner_block<1, 1, T> : inner_block<1, COLUMNS, T>)
                               : (columns == 1 ? inner_block<ROWS, 1, T> : inner_block<ROWS, COLUMNS, T>);
          run(a + i * into, b + o * into, into, found);
          for (int64_t r = 0; r < rows; r++) {
            for (int64_t k = 0; k < columns; k++) {
              T value = found[r][k] * T(weight_gain) + c[o + k] * T(bias_gain);
              to[(i + r) * out + o + k] = value * T(value > 0 ? gain : gain * slope);
            }
          }
          i += rows;
        }
        o += columns;
      }
    });
  });
  return torch::stable::to(y, stored);
}

// From the gradient of y (N, O) and y itself those of x, weight and bias; empty where not wanted.
std::tuple<Tensor, Tensor, Tensor> fully_connected_backward(Tensor dy, Tensor y, Tensor x, Tensor weight,
                                                            double weight_gain, double bias_gain, double slope,
                                                            double gain, std::vector<bool> wanted) {
  check_sizes(x, weight);
  for (const Tensor& t : {dy, y}) {
    STD_TORCH_CHECK(t.dim() == 2 && t.size(0) == x.size(0) && t.size(1) == weight.size(0),
                    "`dy` and `y` must be (N, O), as `x` is (N, I) and `weight` (O, I)");
  }
  ScalarType stored[] = {x.scalar_type(), weight.scalar_type()}, type = compute_type(stored[0]);
  for (Tensor* t : {&dy, &y, &x, &weight}) *t = *parameter(*t, type);
  int64_t n = x.size(0), into = x.size(1), out = weight.size(0);
  using Shape = std::initializer_list<int64_t>;
  Tensor dx = torch::stable::new_empty(x, wanted[0] ? Shape{n, into} : Shape{0});
  Tensor dweight = torch::stable::new_empty(x, wanted[1] ? Shape{out, into} : Shape{0});
  Tensor dbias = torch::stable::new_zeros(x, wanted[2] ? Shape{out} : Shape{0});
  in_compute_type(type, [&](auto element) {
    using T = decltype(element);
    const T above = gain, below = gain * slope, *back = read<T>(dy), *result = read<T>(y);
    T* total = write<T>(dbias);
    std::vector<T> g(n * out);
    for (int64_t i = 0; i < n * out; i++) g[i] = back[i] * (result[i] > 0 ? above : below);
    for (int64_t i = 0; i < n && wanted[2]; i++) {
      for (int64_t o = 0; o < out; o++) total[o] += g[i * out + o] * T(bias_gain);
    }
    auto grain = [&](int64_t products) {
      return std::max(ROWS, LEAST / std::max<int64_t>(products, 1) / ROWS * ROWS);
    };
    if (wanted[0]) {
      share_range(n, grain(out * into), [&](int64_t begin, int64_t end) {
        auto a = [&](int64_t o, int64_t i) { return g[i * out + o]; };
        outer(a, read<T>(weight), out, begin, end, into, T(weight_gain), write<T>(dx));
      });
    }
    if (wanted[1]) {
      share_range(out, grain(n * into), [&](int64_t begin, int64_t end) {
        auto a = [&](int64_t i, int64_t o) { return g[i * out + o]; };
        outer(a, read<T>(x), n, begin, end, into, T(weight_gain), write<T>(dweight));
      });
    }
  });
  return {torch::stable::to(dx, stored[0]), torch::stable::to(dweight, stored[1]), torch::stable::to(dbias, stored[1])};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("fully_connected", TORCH_BOX(&fully_connected));
  m.impl("fully_connected_backward", TORCH_BOX(&fully_connected_backward));
}

}  // namespace histoxplain
