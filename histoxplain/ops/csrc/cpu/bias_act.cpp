// clamp(act(x + b) * gain) and its gradient, each in one pass over memory.
#include <numeric>
#include <vector>

#include "activation.h"
#include "layout.h"

namespace histoxplain {
namespace {

// A dense tensor as (outer, channels, inner), the bias running along `channels`.
struct View {
  int64_t outer = 1, channels = 1, inner = 1;
};

View view_along(const Tensor& x, int64_t dim) {
  std::vector<int64_t> axes(x.dim());
  std::iota(axes.begin(), axes.end(), 0);
  if (is_channels_last(x)) axes = {0, 2, 3, 1};
  View view;
  int64_t* side = &view.outer;
  for (int64_t axis : axes) {
    if (axis == dim) {
      view.channels = x.size(axis);
      side = &view.inner;
    } else {
      *side *= x.size(axis);
    }
  }
  return view;
}

template <class T, class A>
void map(const T* x, T* y, int64_t n, const A& act) {
  constexpr int64_t L = LANES<T>;
  int64_t i = 0;
  for (; i + L <= n; i += L) store(y + i, act(load(x + i), i));
  if (i < n) store(y + i, act(load(x + i, n - i), i), n - i);
}

// The bias along the fastest axis: repeated until whole vectors fit, so that few channels cost no more than many.
template <class T, class A>
void along_fastest(const T* x, const scalar_of<T>* b, T* y, const View& view, const A& act) {
  int64_t period = std::lcm(view.channels, LANES<T>), n = view.outer * view.channels;
  std::vector<scalar_of<T>> bias(period);
  for (int64_t i = 0; i < period; i++) bias[i] = b[i % view.channels];
  int64_t block = period * std::max<int64_t>(1, GRAIN / period);
  share_range((n + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * block; i < std::min(n, end * block); i += period) {
      map(x + i, y + i, std::min(period, n - i), [&](auto v, int64_t at) { return act.forward(v + load(&bias[at])); });
    }
  });
}

template <class T, class A>
void along_planes(const T* x, const scalar_of<T>* b, T* y, const View& view, const A& act) {
  int64_t grain = std::max<int64_t>(1, GRAIN / std::max<int64_t>(1, view.inner));
  share_range(view.outer * view.channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; plane++) {
      auto bias = b[plane % view.channels];
      map(x + plane * view.inner, y + plane * view.inner, view.inner, [&](auto v, int64_t) {
        return act.forward(v + bias);
      });
    }
  });
}

template <class T, class F>
void in_blocks(int64_t n, F&& f) {
  share_range((n + GRAIN - 1) / GRAIN, 1, [&](int64_t begin, int64_t end) {
    f(begin * GRAIN, std::min(n, end * GRAIN));
  });
}

Tensor bias_act(Tensor x, std::optional<Tensor> b, int64_t dim, std::string act, double alpha, double gain,
                double clamp) {
  if (x.scalar_type() == ScalarType::Half) {
    return through_float(x, [&](Tensor wide) { return bias_act(wide, b, dim, act, alpha, gain, clamp); });
  }
  x = dense(x);
  auto y = torch::stable::empty_like(x);
  if (x.numel() == 0) return y;
  b = parameter(b, compute_type(x.scalar_type()));
  dim = dim < 0 ? dim + x.dim() : dim;
  by_type(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    with_activation<T>({act_named(act), alpha, gain, clamp}, [&](const auto& applied) {
      auto from = read<T>(x);
      auto to = write<T>(y);
      if (!b) {
        return in_blocks<T>(x.numel(), [&](int64_t begin, int64_t end) {
          map(from + begin, to + begin, end - begin, [&](auto v, int64_t) { return applied.forward(v); });
        });
      }
      auto view = view_along(x, dim);
      auto bias = read<scalar_of<T>>(*b);
      view.inner == 1 ? along_fastest(from, bias, to, view, applied) : along_planes(from, bias, to, view, applied);
    });
  });
  return y;
}

Tensor bias_act_backward(Tensor dy, Tensor ref, int64_t dim, std::string act, double alpha, double gain,
                         double clamp) {
  if (dy.scalar_type() == ScalarType::Half) {
    if (act != "swish") clamp = held_as_half(clamp);
    auto wide = torch::stable::to(ref, ScalarType::Float);
    return through_float(dy, [&](Tensor d) { return bias_act_backward(d, wide, dim, act, alpha, gain, clamp); });
  }
  ref = dense(ref);
  dy = laid_out_like(dy, ref);
  auto dx = torch::stable::empty_like(ref);
  if (dx.numel() == 0) return dx;
  by_type(ref.scalar_type(), [&](auto element) {
    using T = decltype(element);
    with_activation<T>({act_named(act), alpha, gain, clamp}, [&](const auto& applied) {
      in_blocks<T>(dx.numel(), [&](int64_t begin, int64_t end) {
        auto known = read<T>(ref) + begin;
        map(read<T>(dy) + begin, write<T>(dx) + begin, end - begin, [&](auto v, int64_t at) {
          int64_t rest = end - begin - at;
          return applied.backward(v, rest < LANES<T> ? load(known + at, rest) : load(known + at));
        });
      });
    });
  });
  return dx;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("bias_act_backward", TORCH_BOX(&bias_act_backward));
}

}  // namespace histoxplain
