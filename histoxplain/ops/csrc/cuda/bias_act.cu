// clamp(act(x + b) * gain) and its gradient, for tensors of any shape and memory order.
#include "launch.h"
#include "layout.h"

namespace histoxplain {

/// V values a call; the bias of the value at position i in memory is `b[i / inner % channels]`.
template <class T, int V, Activation act>
struct BiasAct {
  using A = Compute<T>;
  T* y;
  const T* x;
  const A* b;  // or null
  int64_t inner, channels;
  Response<T, act> response;

  C10_HOST_DEVICE void operator()(int64_t group) const {
    const int64_t i = group * V;
    Pack<T, V> values = load<V>(x + i);
    const Pack<A, V> bias = b ? biases(i) : repeat<V>(A(0));
    for (int v = 0; v < V; ++v) values.at[v] = T(response.forward(A(values.at[v]) + bias.at[v]));
    store<V>(y + i, values);
  }

  C10_HOST_DEVICE Pack<A, V> biases(int64_t i) const {
    int64_t run = quotient(i, inner);
    const A* first = b + split(run, channels);
    return inner == 1 ? load<V>(first) : repeat<V>(*first);
  }
};

template <class T, int V, Activation act>
struct BiasActBackward {
  using A = Compute<T>;
  T* dx;
  const T *dy, *ref;
  Response<T, act> response;

  C10_HOST_DEVICE void operator()(int64_t group) const {
    const int64_t i = group * V;
    Pack<T, V> values = load<V>(dy + i);
    const Pack<T, V> refs = load<V>(ref + i);
    for (int v = 0; v < V; ++v) values.at[v] = T(response.backward(A(values.at[v]), A(refs.at[v])));
    store<V>(dx + i, values);
  }
};

Tensor bias_act(Tensor x, std::optional<Tensor> b, int64_t dim, std::string act, double alpha, double gain,
                double clamp) {
  x = formatted(x);
  const Tensor y = torch::stable::empty_like(x);
  const Queue queue(x);
  const int64_t count = x.numel();
  if (b) b = parameter(*b, x);
  with_type(x, "bias_act", [&](auto zero) {
    using T = decltype(zero);
    using A = Compute<T>;
    const int64_t axis = dim < 0 ? dim + x.dim() : dim;
    const int64_t channels = b ? x.size(axis) : 1;
    const int64_t inner = channels > 1 ? y.stride(axis) : count;
    const int64_t run = inner == 1 ? channels : inner;  // neighbours whose biases are equal, or neighbours too
    const bool wide = run % kWidth<T> == 0 && aligned(data<T>(y), data<T>(x), data<A>(b));
    with_activation<9>(act, [&](auto chosen) {
      with_width<T>(wide, [&](auto width) {
        const Response<T, chosen> response(alpha, gain, clamp);
        const BiasAct<T, width, chosen> body{data<T>(y), data<T>(x), data<A>(b), inner, channels, response};
        queue.each(body, count / width);
      });
    });
  });
  return y;
}

Tensor bias_act_backward(Tensor dy, Tensor ref, int64_t, std::string act, double alpha, double gain, double clamp) {
  ref = formatted(ref);
  dy = laid_out_like(dy, ref);
  const Tensor dx = torch::stable::empty_like(ref);
  const Queue queue(ref);
  const int64_t count = ref.numel();
  with_type(ref, "bias_act_backward", [&](auto zero) {
    using T = decltype(zero);
    const bool wide = count % kWidth<T> == 0 && aligned(data<T>(dx), data<T>(dy), data<T>(ref));
    with_activation<9>(act, [&](auto chosen) {
      with_width<T>(wide, [&](auto width) {
        const Response<T, chosen> response(alpha, gain, clamp);
        const BiasActBackward<T, width, chosen> body{data<T>(dx), data<T>(dy), data<T>(ref), response};
        queue.each(body, count / width);
      });
    });
  });
  return dx;
}

HISTOXPLAIN_KERNELS(m) {
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("bias_act_backward", TORCH_BOX(&bias_act_backward));
}

}  // namespace histoxplain
