// 3x3 convolutions for training by multiplying transformed tiles: images lie as (N, H, W, C), weights change every step.
// Styles scale what goes in, and what follows in a layer is done on the way to memory.
#include <vector>

#include "emit.h"

namespace histoxplain {
namespace {

using Maybe = std::optional<Tensor>;

// Which convolution it is.
struct Shape {
  int64_t stride;
  bool transposed;

  // Calls f with the scheme for a result of some width.
  template <class F>
  void by_scheme(int64_t width, F&& f) const {
    if (stride == 1) return f(Fours{});
    if (transposed) return width > 32 && width % DoublingFours::MADE == 1 ? f(DoublingFours{}) : f(Doubling{});
    f(Halving{});
  }
};

// A weight whose kernels lie in one piece each, in whichever order.
Tensor with_whole_kernels(const Tensor& weight) {
  bool whole = weight.scalar_type() == ScalarType::Float && weight.stride(2) == 3 && weight.stride(3) == 1;
  return whole ? weight : *parameter(weight, ScalarType::Float);
}

// The kernels as their scheme reads them.
Kernels kernels_of(const Tensor& w, const Shape& shape, const Tensor& x, const Tensor& y) {
  int64_t out = y.size(1), into = x.size(1);
  STD_TORCH_CHECK(w.numel() == out * into * 9 && w.size(0) == (shape.transposed ? into : out),
                  "`weight` has the wrong shape");
  return {read<float>(w), out, into, w.stride(shape.transposed), w.stride(!shape.transposed),
          shape.stride == 1 && shape.transposed};
}

void check_images(const Tensor& x, const Tensor& y) {
  STD_TORCH_CHECK(is_channels_last(x) && is_channels_last(y) && x.scalar_type() == y.scalar_type() &&
                      x.size(1) % CHANNELS == 0 && y.size(1) % CHANNELS == 0,
                  "`x` and `y` must be channels last, of one type, with channels in multiples of 16");
}

// Calls emit(patch, part) for all of the convolution of x, whose result is as large as y.
template <class T, class Emit>
void run(const Tensor& x, const Kernels& kernels, const Shape& shape, const Maybe& style, const Tensor& y,
         const Emit& emit) {
  Plane<T> in = unbordered<T>(x);
  std::vector<float> ones(style ? 0 : in.channels, 1);
  Modulation modulation{style ? read<float>(*style) : ones.data(), style ? in.channels : 0};
  shape.by_scheme(y.size(3), [&](auto scheme) {
    using S = decltype(scheme);
    Tiling<S> tiling(in, y.size(3), 0, y.size(2));
    Room needed;
    Convolution<S, T>(in, kernels, modulation, tiling.tiles(), needed);
    Room room = kept_room(needed.used);
    Convolution<S, T> convolution(in, kernels, modulation, tiling.tiles(), room);
    convolution.prepare();
    convolution.run(tiling, emit);
  });
}

// x (N, C, H, W) to y: of its size with stride 1, of half or, transposed, twice its size with stride 2; see `convolution`.
void tiled_convolution(Tensor x, Tensor weight, int64_t stride, bool transposed, Tensor y) {
  check_images(x, y);
  Tensor w = with_whole_kernels(weight);
  Shape shape{stride, transposed};
  by_precision(x, [&](auto element) {
    using T = decltype(element);
    run<T>(x, kernels_of(w, shape, x, y), shape, std::nullopt, y, Rounded<T>{unbordered<T>(y)});
  });
}

// The same of x times `style` (N, C), and then y = clamp(bend(y * scale + noise + b) * gain); see `layer_convolution`.
void tiled_layer(Tensor x, Tensor weight, int64_t stride, bool transposed, Maybe style, Maybe scale, Maybe noise,
                 Maybe b, double alpha, double gain, double clamp, Tensor y) {
  check_images(x, y);
  Tensor w = with_whole_kernels(weight);
  for (Maybe* small : {&style, &scale, &noise, &b}) *small = parameter(*small, ScalarType::Float);
  Shape shape{stride, transposed};
  int64_t channels = y.size(1), height = y.size(2), width = y.size(3);
  std::vector<float> ones(scale ? 0 : channels, 1), zeros(std::max(channels, width));
  Finishing finishing{scale ? read<float>(*scale) : ones.data(), b ? read<float>(*b) : zeros.data(), zeros.data(),
                      scale ? channels : 0, 0, 0, (float)alpha, (float)gain, clamp < 0 ? INFINITY : (float)clamp};
  if (noise) {
    finishing.noise = read<float>(*noise);
    finishing.noise_row = width;
    finishing.noise_image = noise->size(0) == 1 ? 0 : height * width;
  }
  by_precision(x, [&](auto element) {
    using T = decltype(element);
    run<T>(x, kernels_of(w, shape, x, y), shape, style, y, Finished<T>{unbordered<T>(y), finishing});
  });
}

// From the gradient `dy` of what is convolved: that of the images `x` and of the styles they were multiplied with.
// `stride` and `transposed` are those of the convolution that leads back.
void tiled_layer_backward(Tensor dy, Tensor weight, int64_t stride, bool transposed, Tensor style, Tensor x, Tensor dx,
                          Tensor dstyle) {
  check_images(dy, dx);
  check_images(x, dx);
  Tensor w = with_whole_kernels(weight);
  style = *parameter(style, ScalarType::Float);
  Shape shape{stride, transposed};
  int64_t parts = parts_of_sums(), all = dstyle.numel();
  std::vector<float> sums(parts * all);
  by_precision(x, [&](auto element) {
    using T = decltype(element);
    Returned<T> emit{unbordered<T>(dx), unbordered<T>(x), read<float>(style), sums.data()};
    run<T>(dy, kernels_of(w, shape, dy, dx), shape, std::nullopt, dx, emit);
  });
  float* total = write<float>(dstyle);
  std::copy_n(sums.data(), all, total);
  for (int64_t i = all; i < parts * all; i++) total[i % all] += sums[i];
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def("tiled_convolution(Tensor x, Tensor weight, int stride, bool transposed, Tensor(a!) y) -> ()");
  m.def(
      "tiled_layer(Tensor x, Tensor weight, int stride, bool transposed, Tensor? style, Tensor? scale, Tensor? noise, "
      "Tensor? b, float alpha, float gain, float clamp, Tensor(a!) y) -> ()");
  m.def(
      "tiled_layer_backward(Tensor dy, Tensor weight, int stride, bool transposed, Tensor style, Tensor x, "
      "Tensor(a!) dx, Tensor(b!) dstyle) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("tiled_convolution", TORCH_BOX(&tiled_convolution));
  m.impl("tiled_layer", TORCH_BOX(&tiled_layer));
  m.impl("tiled_layer_backward", TORCH_BOX(&tiled_layer_backward));
}

}  // namespace histoxplain
