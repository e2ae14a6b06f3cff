// 3x3 convolutions for training by multiplying transformed tiles: images lie as (N, H, W, C), weights change every step.
#include "winograd.h"

namespace histoxplain {
namespace {

// Rounds what is convolved, into the result.
template <class T>
struct Rounded {
  Plane<T> to;

  template <class S>
  void operator()(const Patch<S>& patch) const {
    T* p = to.at(patch.n, patch.y, patch.x) + patch.channel;
    patch.visit(to.height, to.width, [&](int64_t i, int64_t j, floats value) {
      store(p + i * to.row() + j * to.channels, value);
    });
  }
};

template <class S, class T>
void run(const Tensor& x, const Kernels& kernels, const Tensor& y) {
  Plane<T> in = unbordered<T>(x), to = unbordered<T>(y);
  Tiling<S> tiling(in, to.width, 0, to.height);
  std::vector<float> ones(in.channels, 1);
  Modulation modulation{ones.data(), 0};
  Room needed;
  Convolution<S, T>(in, kernels, modulation, tiling.tiles(), needed);
  Tensor memory = torch::stable::new_empty(x, {ceil_div(needed.used, sizeof(T))});
  Room room(memory);
  Convolution<S, T> convolution(in, kernels, modulation, tiling.tiles(), room);
  convolution.prepare();
  convolution.run(tiling, Rounded<T>{to});
}

template <class S>
void run_by_type(const Tensor& x, const Kernels& kernels, const Tensor& y) {
  by_precision(x, [&](auto element) { run<S, decltype(element)>(x, kernels, y); });
}

// x (N, C, H, W) to y: of its size with stride 1, of half or, transposed, twice its size with stride 2; see `convolution`.
void tiled_convolution(Tensor x, Tensor weight, int64_t stride, bool transposed, Tensor y) {
  STD_TORCH_CHECK(is_channels_last(x) && is_channels_last(y) && x.scalar_type() == y.scalar_type() &&
                      x.size(1) % CHANNELS == 0 && y.size(1) % CHANNELS == 0,
                  "`x` and `y` must be channels last, of one type, with channels in multiples of 16");
  Tensor w = torch::stable::contiguous(torch::stable::to(weight, ScalarType::Float));
  int64_t out = y.size(1), into = x.size(1), other = w.size(1) * 9;
  STD_TORCH_CHECK(w.numel() == out * into * 9 && w.size(0) == (transposed ? into : out), "`weight` has the wrong shape");
  Kernels kernels{read<float>(w), out, into, transposed ? 9 : other, transposed ? other : 9, stride == 1 && transposed};
  if (stride == 1) return run_by_type<Fours>(x, kernels, y);
  transposed ? run_by_type<Doubling>(x, kernels, y) : run_by_type<Halving>(x, kernels, y);
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def("tiled_convolution(Tensor x, Tensor weight, int stride, bool transposed, Tensor(a!) y) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) { m.impl("tiled_convolution", TORCH_BOX(&tiled_convolution)); }

}  // namespace histoxplain
