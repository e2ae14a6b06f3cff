// The colours that a resolution of StyleGAN2's generator adds to the image, for inference.
#include <type_traits>

#include "pack.h"

namespace histoxplain {
namespace {

// A row of an image's colours.
struct Colours {
  float* to;           // of the first colour
  const float* below;  // the image that is added to, at the same place, if any
  const float* bias;
  int64_t count, area;
  float most;  // that colours are limited to before; negative for none

  // of `pixels` neighbours from x on, `width` colours from `first` on
  void store(const float* sums, int64_t x, int64_t pixels, int64_t first, int64_t width) const {
    for (int64_t k = first; k < std::min(first + width, count); k++) {
      for (int64_t j = 0; j < pixels; j++) {
        float v = sums[j * width + k - first] + bias[k];
        if (most >= 0) v = std::min(std::max(v, -most), most);
        int64_t at = k * area + x + j;
        to[at] = below ? v + below[at] : v;
      }
    }
  }
};

template <class T>
void run(const Plane<T>& in, const Tensor& weight, const float* styles, const Tensor& bias,
         const std::optional<Tensor>& image, double clamp, const Tensor& out) {
  Kernels kernels = kernels_of(weight);
  Weight shape{filled(kernels.out), filled(kernels.into), 1};
  int64_t area = in.height * in.width, strips = ceil_div(in.width, PIXELS);
  std::vector<T> packed(in.images * shape.numel());
  for (int64_t i = 0; i < in.images * shape.blocks(); i++) {
    int64_t n = i / shape.blocks(), block = i % shape.blocks();
    T* to = packed.data() + n * shape.numel() + shape.start(block);
    pack<Pointwise, 1>(kernels, shape, block, to, styles + n * shape.into, nullptr);
  }
  torch::stable::parallel_for(0, in.images * in.height, ceil_div(GRAIN, in.row()), [&](int64_t begin, int64_t end) {
    alignas(64) float sums[PIXELS * BLOCK];
    for (int64_t row = begin; row < end; row++) {
      int64_t n = row / in.height, y = row % in.height, at = n * kernels.out * area + y * in.width;
      Colours colours{write<float>(out) + at, image ? read<float>(*image) + at : nullptr, read<float>(bias),
                      kernels.out, area, (float)clamp};
      for (int64_t block = 0; block < shape.blocks(); block++) {
        const T* w = packed.data() + n * shape.numel() + shape.start(block);
        int64_t wide = shape.width(block);
        for (int64_t strip = 0; strip < strips; strip++) {
          int64_t left = strip * in.width / strips, pixels = (strip + 1) * in.width / strips - left;
          tile_for<T>(pixels, wide)(in.at(n, y, left), in.channels, in.channels, w, sums);
          colours.store(sums, left, pixels, block * BLOCK, wide);
        }
      }
    }
  });
}

void synthesis_rgb(Tensor x, Tensor weight, Tensor styles, Tensor bias, std::optional<Tensor> image, double clamp,
                   Tensor out) {
  check_plane("x", x);
  STD_TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 1 && weight.size(3) == 1 &&
                      x.size(3) == filled(weight.size(1)) && out.size(1) == weight.size(0) &&
                      styles.size(1) == x.size(3),
                  "`weight` must be (O, I, 1, 1), with the channels of `x` and `out`");
  by_precision(x, [&](auto kind) {
    run(plane_of<decltype(kind)>(x), weight, read<float>(styles), bias, image, clamp, out);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "synthesis_rgb(Tensor x, Tensor weight, Tensor styles, Tensor bias, Tensor? image, float clamp, "
      "Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) { m.impl("synthesis_rgb", TORCH_BOX(&synthesis_rgb)); }

}  // namespace histoxplain
