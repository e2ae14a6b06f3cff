// The gradient of an epilogue's gradient in one pass over memory, as path length asks for it.
#include <string>
#include <tuple>
#include <vector>

#include "activation.h"
#include "schemes.h"
#include "plane.h"

namespace histoxplain {
namespace {

constexpr int64_t PIECE = 1 << 15;  // values of an image that a thread works on before it takes the next

// What is read and written, from some pixel and channel on.
template <class T>
struct Streams {
  const T *dy, *x, *y, *ddx;
  T *d_dy, *d_x;

  Streams at(int64_t i) const { return {dy + i, x + i, y + i, ddx + i, d_dy + i, d_x + i}; }
};

// Of `count` pixels and V vectors of channels; see `epilogue_second_gradients`.
template <int V, class T, class A>
void second_group(const Streams<T>& streams, int64_t count, int64_t channels, const float* scale, const float* ddscale,
                  float* d_scale, const A& act) {
  std::array<floats, V> total{}, factor, change;
  each<V>([&](auto v) { factor[v] = load(scale + v * LANE), change[v] = load(ddscale + v * LANE); });
  for (int64_t p = 0; p < count; p++) {
    Streams<T> s = streams.at(p * channels);
    each<V>([&](auto v) {
      constexpr int64_t c = v * LANE;
      floats y = load(s.y + c), ddx = load(s.ddx + c), g = act.backward(load(s.dy + c), y);
      store(s.d_dy + c, act.backward(ddx * factor[v] + load(s.x + c) * change[v], y));
      store(s.d_x + c, g * change[v]);
      total[v] += g * ddx;
    });
  }
  each<V>([&](auto v) { store(d_scale + v * LANE, total[v]); });
}

// The gradient dx = g * scale and dscale = sum of g * x, with g = dy * slope(y), of an `epilogue`: from `ddx` and `ddscale`
// (N, C), the gradients of these two, to those of dy, x and scale. Images are (N, C, H, W), channels last.
std::tuple<Tensor, Tensor, Tensor> epilogue_second_gradients(Tensor dy, Tensor x, Tensor y, Tensor scale, Tensor ddx,
                                                             Tensor ddscale, std::string act, double alpha, double gain,
                                                             double clamp) {
  for (const Tensor& image : {dy, x, y, ddx}) {
    STD_TORCH_CHECK(is_channels_last(image) && image.scalar_type() == y.scalar_type() && y.size(1) % CHANNELS == 0,
                    "images must be channels last, of one type, with channels in multiples of 16");
  }
  scale = *parameter(scale, ScalarType::Float), ddscale = *parameter(ddscale, ScalarType::Float);
  int64_t n = y.size(0), c = y.size(1), pixels = y.size(2) * y.size(3);
  Tensor d_dy = torch::stable::empty_like(y), d_x = torch::stable::empty_like(y),
         d_scale = torch::stable::new_zeros(scale, {n, c});
  int64_t length = std::max<int64_t>(PIECE / c, 1), pieces = ceil_div(pixels, length);
  std::vector<float> sums(n * pieces * c);
  bool slopes = act != "linear" || clamp >= 0;  // else y tells nothing, and what is read in any case stands in for it
  by_precision(y, [&](auto element) {
    using T = decltype(element);
    const Streams<T> images{read<T>(dy), read<T>(x), read<T>(slopes ? y : x), read<T>(ddx), write<T>(d_dy), write<T>(d_x)};
    with_activation<T>({act_named(act), alpha, gain, clamp}, [&](const auto& applied) {
      share_range(n * pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
          int64_t image = i / pieces, first = i % pieces * length, count = std::min(length, pixels - first);
          in_groups<float>(c, [&](auto v, int64_t from) {
            second_group<v>(images.at((image * pixels + first) * c + from), count, c,
                            read<float>(scale) + image * c + from, read<float>(ddscale) + image * c + from,
                            sums.data() + i * c + from, applied);
          });
        }
      });
    });
  });
  add_rows(sums, write<float>(d_scale), n, c);
  return {d_dy, d_x, d_scale};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "epilogue_second_gradients(Tensor dy, Tensor x, Tensor y, Tensor scale, Tensor ddx, Tensor ddscale, str act, "
      "float alpha, float gain, float clamp) -> (Tensor d_dy, Tensor d_x, Tensor d_scale)");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("epilogue_second_gradients", TORCH_BOX(&epilogue_second_gradients));
}

}  // namespace histoxplain
