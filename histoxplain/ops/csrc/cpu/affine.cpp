// The affine maps of vectors to a generator's styles, all at once: a few vectors take as long as weights take to read.
#include <vector>

#include "layout.h"

namespace histoxplain {
namespace {

float dot(const float* a, const float* b, int64_t count) {
  constexpr int64_t LANE = LANES<float>;
  floats sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * LANE <= count; i += 4 * LANE) {
    for (int64_t k = 0; k < 4; k++) sums[k] = multiply_add(load(a + i + k * LANE), load(b + i + k * LANE), sums[k]);
  }
  for (; i < count; i += LANE) {
    int64_t some = std::min(LANE, count - i);
    sums[0] += load(a + i, some) * load(b + i, some);
  }
  return sum<float>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// out (N, all rows) = gain * weights[m] x[:, places[m]] + biases[m], side by side for all m; x is (N, L, D).
void affine_maps(Tensor x, Tensor places, std::vector<Tensor> weights, std::vector<Tensor> biases, double gain,
                 Tensor out) {
  int64_t width = x.size(2), total = out.size(1);
  STD_TORCH_CHECK(x.is_contiguous() && out.is_contiguous() && x.size(0) == out.size(0),
                  "`x` and `out` must be contiguous, for one batch");
  std::vector<int64_t> starts{0};
  for (const Tensor& weight : weights) {
    STD_TORCH_CHECK(weight.is_contiguous() && weight.size(1) == width, "`weights` must be contiguous and fit `x`");
    starts.push_back(starts.back() + weight.size(0));
  }
  STD_TORCH_CHECK(starts.back() == total, "`out` must hold a row of every weight");
  int64_t n = x.size(0), length = x.size(1);
  const float* vectors = read<float>(x);
  const int64_t* place = read<int64_t>(places);
  float* to = write<float>(out);
  share_range(total, 256, [&](int64_t begin, int64_t end) {
    size_t map = std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin() - 1;
    for (int64_t row = begin; row < end; row++) {
      while (row == starts[map + 1]) map++;
      const float* weight = read<float>(weights[map]) + (row - starts[map]) * width;
      float bias = read<float>(biases[map])[row - starts[map]];
      for (int64_t i = 0; i < n; i++) {
        const float* vector = vectors + (i * length + place[map]) * width;
        to[i * total + row] = (float)gain * dot(weight, vector, width) + bias;
      }
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "affine_maps(Tensor x, Tensor places, Tensor[] weights, Tensor[] biases, float gain, Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) { m.impl("affine_maps", TORCH_BOX(&affine_maps)); }

}  // namespace histoxplain
