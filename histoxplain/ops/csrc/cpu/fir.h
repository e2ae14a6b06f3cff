// The arithmetic of upfirdn2d that comes before any pixel: which inputs an output looks at, and with which taps.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "layout.h"

namespace histoxplain {

inline int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// One axis. Output o looks at the `reach` inputs that end at last(o); outputs repeat their taps every `period`, `step`
// inputs further on. Inputs before 0 and from `in` on are zeros: `before` and `after` of them are looked at.
struct Axis {
  int64_t in, taps, up, down, pad, out, period, step, reach, before, after;

  Axis(int64_t in_, int64_t taps_, int64_t up_, int64_t down_, int64_t pad0, int64_t pad1)
      : in(in_), taps(taps_), up(up_), down(down_), pad(pad0) {
    int64_t rest = in * up + pad0 + pad1 - taps;
    STD_TORCH_CHECK(rest >= 0, "`padding` must leave at least one sample");
    out = rest / down + 1;
    period = up / std::gcd(up, down);
    step = down / std::gcd(up, down);
    reach = (taps + up - 1) / up;
    before = std::max<int64_t>(0, reach - 1 - last(0));
    after = std::max<int64_t>(0, last(out - 1) - (in - 1));
  }

  int64_t last(int64_t o) const { return floor_divide(o * down + taps - 1 - pad, up); }

  // Which tap output o gives to input i; none if that is not in 0..taps.
  int64_t tap(int64_t o, int64_t i) const { return i * up + pad - o * down; }

  double weight(const std::vector<double>& filter, int64_t o, int64_t i) const {
    int64_t k = tap(o, i);
    return k >= 0 && k < taps ? filter[k] : 0;
  }
};

// A filter is a sum of products of a vertical and a horizontal one; a single product is enough for most.
struct Product {
  std::vector<double> vertical, horizontal;
};

inline std::vector<Product> factorised(const std::vector<double>& f, int64_t height, int64_t width) {
  auto smaller = [](double a, double b) { return std::abs(a) < std::abs(b); };
  int64_t pivot = std::max_element(f.begin(), f.end(), smaller) - f.begin();
  double most = f[pivot], furthest = 0;
  Product one{std::vector<double>(height), std::vector<double>(width)};
  for (int64_t y = 0; y < height; y++) one.vertical[y] = most ? f[y * width + pivot % width] / most : 0;
  for (int64_t x = 0; x < width; x++) one.horizontal[x] = f[pivot / width * width + x];
  for (int64_t i = 0; i < height * width; i++) {
    furthest = std::max(furthest, std::abs(one.vertical[i / width] * one.horizontal[i % width] - f[i]));
  }
  if (furthest <= 4e-7 * std::abs(most)) return {one};  // as exact as float32 taps are
  std::vector<Product> rows;
  for (int64_t y = 0; y < height; y++) {
    rows.push_back({std::vector<double>(height), {f.begin() + y * width, f.begin() + (y + 1) * width}});
    rows.back().vertical[y] = 1;
  }
  return rows;
}

// The taps as they are correlated with the image, times the gain.
inline std::vector<Product> products(const Tensor& filter, bool flip, double gain) {
  bool plain = filter.scalar_type() == ScalarType::Float && filter.is_contiguous();  // spares two calls of torch
  Tensor dense = plain ? filter : *parameter(filter, ScalarType::Double);
  std::vector<double> f(filter.numel());
  plain ? std::copy_n(read<float>(dense), f.size(), f.begin()) : std::copy_n(read<double>(dense), f.size(), f.begin());
  if (!flip) std::reverse(f.begin(), f.end());
  std::vector<double> scaled = f;
  for (double& tap : scaled) tap *= gain;
  if (dense.dim() == 2) return factorised(scaled, dense.size(0), dense.size(1));
  return {{scaled, f}};
}

}  // namespace histoxplain
