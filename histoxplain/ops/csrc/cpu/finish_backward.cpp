// The gradient of what follows a convolution, from its result alone: a piecewise linear activation can be undone, so what
// went in need be neither kept nor read.
#include <string>
#include <tuple>
#include <vector>

#include "activation.h"
#include "schemes.h"
#include "plane.h"

namespace histoxplain {
namespace {

using Maybe = std::optional<Tensor>;

constexpr int64_t PIECE = 1 << 15;  // values of an image that a thread works on before it takes the next
constexpr int64_t SUMS = 3;        // over pixels: of g, of dy times y, and of g times the noise

// Of `count` pixels and V vectors of channels: dx = g * scale with g = dy * slope, and the sums, `channels` apart.
template <int V, class T, class A>
void backward_group(const T* dy, const T* y, T* dx, int64_t count, int64_t channels, const float* scale,
                    const float* noise, float* dnoise, float* sums, const A& act) {
  std::array<std::array<floats, V>, SUMS> total{};
  std::array<floats, V> factor;
  each<V>([&](auto v) { factor[v] = load(scale + v * LANE); });
  for (int64_t p = 0; p < count; p++, dy += channels, y += channels, dx += channels) {
    floats across{};
    each<V>([&](auto v) {
      floats back = load(dy + v * LANE), value = load(y + v * LANE), g = act.backward(back, value);
      total[0][v] += g;
      total[1][v] += g != 0 ? back * value : floats{};  // what was clamped tells nothing of what went in
      if (noise) total[2][v] += g * noise[p];
      across += g;
      store(dx + v * LANE, g * factor[v]);
    });
    if (dnoise) dnoise[p] += sum<float>(across);
  }
  for (int64_t i = 0; i < SUMS; i++) {
    each<V>([&](auto v) { store(sums + i * channels + v * LANE, total[i][v]); });
  }
}

// The small gradients, from rows of sums for each of `pieces` of every image.
void add_up(const std::vector<float>& sums, int64_t images, int64_t pieces, int64_t channels, const float* scale,
            const float* b, float* dscale, float* db) {
  std::vector<float> total(SUMS * channels);
  const float *g = &total[0], *products = g + channels, *noises = products + channels;
  const float* row = sums.data();
  for (int64_t n = 0; n < images; n++) {
    std::fill(total.begin(), total.end(), 0.0f);
    for (int64_t piece = 0; piece < pieces; piece++, row += SUMS * channels) {
      for (int64_t i = 0; i < SUMS * channels; i++) total[i] += row[i];
    }
    for (int64_t c = 0; c < channels && db; c++) db[c] += g[c];
    for (int64_t c = 0; c < channels && dscale; c++) {
      dscale[n * channels + c] = (products[c] - noises[c] - (b ? b[c] : 0) * g[c]) / scale[n * channels + c];
    }
  }
}

// y (N, C, H, W), channels last, is what `epilogue` made with `scale` (N, C), `noise` (N or 1, 1, H, W) and `b` (C). Gives
// the gradients of what went in and, if wanted, of scale, noise (of every image) and bias.
std::tuple<Tensor, Tensor, Tensor, Tensor> epilogue_backward_of_result(Tensor dy, Tensor y, Maybe scale, Maybe noise,
                                                                       Maybe b, std::vector<bool> wanted,
                                                                       std::string act, double alpha, double gain,
                                                                       double clamp) {
  STD_TORCH_CHECK(is_channels_last(y) && is_channels_last(dy) && dy.scalar_type() == y.scalar_type() &&
                      y.size(1) % CHANNELS == 0,
                  "`y` and `dy` must be channels last, of one type, with channels in multiples of 16");
  for (Maybe* small : {&scale, &noise, &b}) *small = parameter(*small, ScalarType::Float);
  int64_t n = y.size(0), c = y.size(1), pixels = y.size(2) * y.size(3);
  auto sum_of = [&](bool wanted, std::initializer_list<int64_t> shape) {
    return torch::stable::new_zeros(y, wanted ? shape : std::initializer_list<int64_t>{0}, ScalarType::Float);
  };
  Tensor dx = torch::stable::empty_like(y), dscale = sum_of(wanted[0], {n, c}),
         dnoise = sum_of(wanted[1], {n, 1, y.size(2), y.size(3)}), db = sum_of(wanted[2], {c});
  int64_t length = std::max<int64_t>(PIECE / c, 1), pieces = ceil_div(pixels, length);
  std::vector<float> sums(n * pieces * SUMS * c), ones(scale ? 0 : c, 1);
  by_precision(y, [&](auto element) {
    using T = decltype(element);
    with_activation<T>({act_named(act), alpha, gain, clamp}, [&](const auto& applied) {
      share_range(n * pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
          int64_t image = i / pieces, first = i % pieces * length, count = std::min(length, pixels - first);
          in_groups<float>(c, [&](auto v, int64_t from) {
            int64_t at = (image * pixels + first) * c + from;
            backward_group<v>(read<T>(dy) + at, read<T>(y) + at, write<T>(dx) + at, count, c,
                              scale ? read<float>(*scale) + image * c + from : ones.data(),
                              noise ? read<float>(*noise) + (noise->size(0) > 1 ? image * pixels : 0) + first : nullptr,
                              wanted[1] ? write<float>(dnoise) + image * pixels + first : nullptr,
                              sums.data() + i * SUMS * c + from, applied);
          });
        }
      });
    });
  });
  add_up(sums, n, pieces, c, scale ? read<float>(*scale) : nullptr, b ? read<float>(*b) : nullptr,
         wanted[0] ? write<float>(dscale) : nullptr, wanted[2] ? write<float>(db) : nullptr);
  return {dx, dscale, dnoise, db};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "epilogue_backward_of_result(Tensor dy, Tensor y, Tensor? scale, Tensor? noise, Tensor? b, bool[] wanted, str act, "
      "float alpha, float gain, float clamp) -> (Tensor dx, Tensor dscale, Tensor dnoise, Tensor db)");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("epilogue_backward_of_result", TORCH_BOX(&epilogue_backward_of_result));
}

}  // namespace histoxplain
