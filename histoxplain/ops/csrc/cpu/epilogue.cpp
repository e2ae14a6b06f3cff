// What follows the convolution of a StyleGAN2 layer, in one pass over memory: demodulation, noise, bias, activation,
// gain, clamp; and all its gradients in another.
#include <array>
#include <tuple>
#include <vector>

#include "activation.h"
#include "layout.h"

namespace histoxplain {
namespace {

using Maybe = std::optional<Tensor>;

// Images (N, C, pixels), cut into pieces of pixels that threads take one by one. The cut depends on the shape alone, and
// sums over pieces are added in their order, so results are the same for any number of threads.
struct Cut {
  int64_t n, channels, pixels, length, pieces;

  explicit Cut(const Tensor& x) : n(x.size(0)), channels(x.size(1)), pixels(x.size(2) * x.size(3)) {
    length = std::clamp<int64_t>(4 * GRAIN / std::max<int64_t>(1, channels), 64, 4096);
    pieces = (pixels + length - 1) / length;
  }

  // f(image, index of the piece, its first pixel, its number of pixels)
  template <class F>
  void each(F&& f) const {
    share_range(n * pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t first = i % pieces * length;
        f(i / pieces, i, first, std::min(length, pixels - first));
      }
    });
  }
};

// The small operands; absent ones are null.
template <class S>
struct Operands {
  const S *scale, *noise, *bias;
  int64_t noise_stride;

  Operands(const Maybe& scale_, const Maybe& noise_, const Maybe& bias_, const Cut& cut)
      : scale(scale_ ? read<S>(*scale_) : nullptr),
        noise(noise_ ? read<S>(*noise_) : nullptr),
        bias(bias_ ? read<S>(*bias_) : nullptr),
        noise_stride(noise_ && noise_->size(0) > 1 ? cut.pixels : 0) {}
};

template <class T, class A>
void forward_last(const T* x, T* y, const Cut& cut, const Operands<scalar_of<T>>& o, const A& act) {
  using V = vector_of<T>;
  int64_t c = cut.channels;
  std::vector<scalar_of<T>> ones(c, 1), zeros(c, 0);
  cut.each([&](int64_t image, int64_t, int64_t first, int64_t length) {
    auto scale = o.scale ? o.scale + image * c : ones.data();
    auto bias = o.bias ? o.bias : zeros.data();
    auto noise = o.noise ? o.noise + image * o.noise_stride + first : nullptr;
    int64_t at = (image * cut.pixels + first) * c;
    for (int64_t p = 0; p < length; p++, at += c) {
      scalar_of<T> add = noise ? noise[p] : 0;
      vectors<T>(c, [&](int64_t i, auto n) {
        V v = get(x + at + i, n) * get(scale + i, n) + (get(bias + i, n) + add);
        put(y + at + i, act.forward(v), n);
      });
    }
  });
}

template <class T, class A>
void forward_planes(const T* x, T* y, const Cut& cut, const Operands<scalar_of<T>>& o, const A& act) {
  using V = vector_of<T>;
  cut.each([&](int64_t image, int64_t, int64_t first, int64_t length) {
    auto noise = o.noise ? o.noise + image * o.noise_stride + first : nullptr;
    for (int64_t c = 0; c < cut.channels; c++) {
      int64_t plane = image * cut.channels + c, at = plane * cut.pixels + first;
      scalar_of<T> scale = o.scale ? o.scale[plane] : 1, bias = o.bias ? o.bias[c] : 0;
      vectors<T>(length, [&](int64_t i, auto n) {
        V v = get(x + at + i, n) * scale + bias;
        if (noise) v += get(noise + i, n);
        put(y + at + i, act.forward(v), n);
      });
    }
  });
}

Tensor epilogue(Tensor x, Maybe scale, Maybe noise, Maybe b, std::string act, double alpha, double gain,
                double clamp) {
  if (x.scalar_type() == ScalarType::Half) {
    return through_float(x, [&](Tensor wide) { return epilogue(wide, scale, noise, b, act, alpha, gain, clamp); });
  }
  x = dense(x);
  auto y = torch::stable::empty_like(x);
  if (x.numel() == 0) return y;
  auto type = compute_type(x.scalar_type());
  scale = parameter(scale, type), noise = parameter(noise, type), b = parameter(b, type);
  Cut cut(x);
  by_type(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    with_activation<T>({act_named(act), alpha, gain, clamp}, [&](const auto& applied) {
      Operands<scalar_of<T>> operands(scale, noise, b, cut);
      auto run = is_channels_last(x) ? forward_last<T, std::decay_t<decltype(applied)>>
                                     : forward_planes<T, std::decay_t<decltype(applied)>>;
      run(read<T>(x), write<T>(y), cut, operands, applied);
    });
  });
  return y;
}

// Where the gradients go; null where not wanted. Sums over pixels come as one row of channels for each piece.
template <class T>
struct Gradients {
  T* dx;
  scalar_of<T>*dscale, *dbias, *dnoise;
};

template <class T, class A>
void backward_last(const T* dy, const T* x, const T* y, const scalar_of<T>* scales, const Gradients<T>& to,
                   const Cut& cut, const A& act) {
  using V = vector_of<T>;
  using S = scalar_of<T>;
  int64_t c = cut.channels;
  std::vector<S> ones(c, 1);
  cut.each([&](int64_t image, int64_t piece, int64_t first, int64_t length) {
    auto scale = scales ? scales + image * c : ones.data();
    auto dnoise = to.dnoise ? to.dnoise + image * cut.pixels + first : nullptr;
    int64_t start = (image * cut.pixels + first) * c;
    if (dnoise) std::fill_n(dnoise, length, S(0));
    auto group = [&](auto count, int64_t from, auto lanes) {
      std::array<V, count> by_scale{}, by_bias{};
      for (int64_t p = 0; p < length; p++) {
        V total{};
        for (int64_t k = 0; k < count; k++) {
          int64_t channel = from + k * LANES<T>, at = start + p * c + channel;
          V g = act.backward(get(dy + at, lanes), get(y + at, lanes));
          put(to.dx + at, g * get(scale + channel, lanes), lanes);
          if (to.dscale) by_scale[k] += g * get(x + at, lanes);
          by_bias[k] += g;
          total += g;
        }
        if (dnoise) dnoise[p] += sum<T>(total);
      }
      for (int64_t k = 0; k < count; k++) {
        int64_t at = piece * c + from + k * LANES<T>;
        if (to.dscale) put(to.dscale + at, by_scale[k], lanes);
        if (to.dbias) put(to.dbias + at, by_bias[k], lanes);
      }
    };
    int64_t rest = in_groups<T>(c, [&](auto count, int64_t from) {
      group(count, from, std::integral_constant<int64_t, LANES<T>>{});
    });
    if (rest < c) group(std::integral_constant<int64_t, 1>{}, rest, c - rest);
  });
}

template <class T, class A>
void backward_planes(const T* dy, const T* x, const T* y, const scalar_of<T>* scales, const Gradients<T>& to,
                     const Cut& cut, const A& act) {
  using V = vector_of<T>;
  using S = scalar_of<T>;
  cut.each([&](int64_t image, int64_t piece, int64_t first, int64_t length) {
    auto dnoise = to.dnoise ? to.dnoise + image * cut.pixels + first : nullptr;
    if (dnoise) std::fill_n(dnoise, length, S(0));
    for (int64_t c = 0; c < cut.channels; c++) {
      int64_t plane = image * cut.channels + c, at = plane * cut.pixels + first;
      S scale = scales ? scales[plane] : 1;
      V by_scale{}, by_bias{};
      vectors<T>(length, [&](int64_t i, auto n) {
        V g = act.backward(get(dy + at + i, n), get(y + at + i, n));
        put(to.dx + at + i, g * scale, n);
        if (to.dscale) by_scale += g * get(x + at + i, n);
        by_bias += g;
        if (dnoise) put(dnoise + i, get(dnoise + i, n) + g, n);
      });
      if (to.dscale) to.dscale[piece * cut.channels + c] = sum<T>(by_scale);
      if (to.dbias) to.dbias[piece * cut.channels + c] = sum<T>(by_bias);
    }
  });
}

Tensor new_or_empty(const Tensor& like, bool wanted, std::initializer_list<int64_t> shape, ScalarType type) {
  return torch::stable::new_zeros(like, wanted ? shape : std::initializer_list<int64_t>{0}, type);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> epilogue_backward(Tensor dy, Tensor x, Tensor y, Maybe scale,
                                                             std::vector<bool> wanted, std::string act, double alpha,
                                                             double gain, double clamp) {
  if (y.scalar_type() == ScalarType::Half) {
    auto wide = [](const Tensor& t) { return torch::stable::to(t, ScalarType::Float); };
    auto all = epilogue_backward(wide(dy), wide(x), wide(y), scale, wanted, act, alpha, gain, held_as_half(clamp));
    std::get<0>(all) = torch::stable::to(std::get<0>(all), ScalarType::Half);
    return all;
  }
  y = dense(y), dy = laid_out_like(dy, y), x = wanted[0] ? laid_out_like(x, y) : y;
  auto type = compute_type(y.scalar_type());
  scale = parameter(scale, type);
  Cut cut(y);
  auto dx = torch::stable::empty_like(y);
  auto dscale = new_or_empty(y, wanted[0], {cut.n, cut.channels}, type);
  auto dnoise = new_or_empty(y, wanted[1], {cut.n, 1, y.size(2), y.size(3)}, type);
  auto db = new_or_empty(y, wanted[2], {cut.channels}, type);
  if (y.numel() == 0) return {dx, dscale, dnoise, db};
  by_type(y.scalar_type(), [&](auto element) {
    using T = decltype(element);
    using S = scalar_of<T>;
    with_activation<T>({act_named(act), alpha, gain, clamp}, [&](const auto& applied) {
      int64_t sums = cut.n * cut.pieces * cut.channels;
      std::vector<S> scales(wanted[0] ? sums : 0), biases(wanted[2] ? sums : 0);
      Gradients<T> to{write<T>(dx), wanted[0] ? scales.data() : nullptr, wanted[2] ? biases.data() : nullptr,
                      wanted[1] ? write<S>(dnoise) : nullptr};
      auto run = is_channels_last(y) ? backward_last<T, std::decay_t<decltype(applied)>>
                                     : backward_planes<T, std::decay_t<decltype(applied)>>;
      bool slopes = act != "linear" || clamp >= 0;  // else y tells nothing, and is not read
      run(read<T>(dy), read<T>(x), read<T>(slopes ? y : dy), scale ? read<S>(*scale) : nullptr, to, cut, applied);
      if (wanted[0]) add_rows(scales, write<S>(dscale), cut.n, cut.channels);
      if (wanted[2]) add_rows(biases, write<S>(db), 1, cut.channels);
    });
  });
  return {dx, dscale, dnoise, db};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("epilogue", TORCH_BOX(&epilogue));
  m.impl("epilogue_backward", TORCH_BOX(&epilogue_backward));
}

}  // namespace histoxplain
