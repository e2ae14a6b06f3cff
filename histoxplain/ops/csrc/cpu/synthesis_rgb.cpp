// The colours that a resolution of StyleGAN2's generator adds to the image, for inference.
#include "pack.h"

namespace histoxplain {
namespace {

// A row of an image's colours.
struct Colours {
  float* to;  // of the first colour, which holds what is added to
  const float* bias;
  int64_t count, area;
  float most;  // that colours are limited to before

  // Adds those of `pixels` neighbours from x on, LANE at most, of `width` colours from `first` on.
  void add(const float* sums, int64_t x, int64_t pixels, int64_t first, int64_t width) const {
    for (int64_t o = 0; o < std::min(width, count - first); o += LANE) {
      std::array<floats, LANE> rows;
      each<LANE>([&](auto i) { rows[i] = load(sums + i * width + o); });
      transpose<1>(rows);
      for (int64_t k = 0; k < std::min(LANE, count - first - o); k++) {
        floats v = rows[k] + bias[first + o + k];
        v = v < most ? v : splat<floats>(most);
        v = v > -most ? v : splat<floats>(-most);
        float* p = to + (first + o + k) * area + x;
        if (pixels == LANE) store(p, v + load(p));
        else store(p, v + load(p, pixels), pixels);
      }
    }
  }
};

// A row `y` of `from` (height, width) at twice its size, by four taps; `between` has room for width + 2.
void enlarge_row(const float* from, int64_t height, int64_t width, const float* f, int64_t y, float* between,
                 float* to) {
  int64_t above = (y - 1) >> 1;
  float upper = y % 2 ? f[2] : f[3], lower = y % 2 ? f[0] : f[1];
  const float *a = from + std::max<int64_t>(above, 0) * width, *b = from + std::min(above + 1, height - 1) * width;
  if (above < 0) upper = 0;
  if (above + 1 == height) lower = 0;
  float* row = between + 1;
  row[-1] = row[width] = 0;
  for (int64_t x = 0; x < width; x++) row[x] = upper * a[x] + lower * b[x];
  for (int64_t x = 0; x < width; x++) {
    to[2 * x] = f[3] * row[x - 1] + f[1] * row[x];
    to[2 * x + 1] = f[2] * row[x] + f[0] * row[x + 1];
  }
}

// Kernels of one tap times their style, as the inner loop wants them.
template <class T>
void pack_colours(const Kernels& w, const Weight& shape, const float* style, T* packed) {
  for (int64_t o = 0; o < w.out; o++) {
    int64_t block = o / BLOCK, wide = shape.width(block);
    T* to = packed + shape.start(block) + o % BLOCK * PAIR<T>;
    for (int64_t c = 0; c < w.into; c += LANE) {
      int64_t count = std::min(LANE, w.into - c);
      T some[LANE];
      store(some, load(w.data + o * w.into + c, count) * load(style + c));
      for (int64_t i = 0; i < count; i++) to[(c + i) / PAIR<T> * PAIR<T> * wide + (c + i) % PAIR<T>] = some[i];
    }
  }
}

// The inner loop for LANE pixels or fewer.
template <class T>
Tile<T> strip_for(int64_t pixels, int64_t width) {
  if (pixels < LANE) return tile_for<T>(pixels, width);
  return width == BLOCK ? &tile<T, LANE, VECTORS> : &tile<T, LANE, VECTORS / 2>;
}

template <class T>
void run(const Plane<T>& in, const Tensor& weight, const float* styles, const Tensor& bias,
         const std::optional<Tensor>& below, const float* f, double clamp, const Tensor& out) {
  Kernels kernels = kernels_of(weight);
  Weight shape{filled(kernels.out), filled(kernels.into), 1};
  int64_t area = in.height * in.width;
  std::vector<T> packed(in.images * shape.numel());
  for (int64_t n = 0; n < in.images; n++) {
    pack_colours(kernels, shape, styles + n * shape.into, packed.data() + n * shape.numel());
  }
  torch::stable::parallel_for(0, in.images * in.height, ceil_div(GRAIN, in.row()), [&](int64_t begin, int64_t end) {
    alignas(64) float sums[LANE * BLOCK] = {};
    std::vector<float> between(in.width / 2 + 2);
    for (int64_t row = begin; row < end; row++) {
      int64_t n = row / in.height, y = row % in.height;
      float* to = write<float>(out) + n * kernels.out * area + y * in.width;
      for (int64_t k = 0; k < kernels.out; k++) {
        if (!below) std::fill_n(to + k * area, in.width, 0.f);
        else enlarge_row(read<float>(*below) + (n * kernels.out + k) * area / 4, in.height / 2, in.width / 2, f, y,
                         between.data(), to + k * area);
      }
      Colours colours{to, read<float>(bias), kernels.out, area, clamp < 0 ? INFINITY : (float)clamp};
      for (int64_t block = 0; block < shape.blocks(); block++) {
        const T* w = packed.data() + n * shape.numel() + shape.start(block);
        for (int64_t left = 0, pixels; left < in.width; left += pixels) {
          pixels = left + LANE <= in.width ? LANE : std::min<int64_t>(in.width - left, PIXELS);
          const T *x = in.at(n, y, left), *next = in.at(n, y, left + pixels);
          strip_for<T>(pixels, shape.width(block))(x, in.channels, in.channels, w, sums, next);
          colours.add(sums, left, pixels, block * BLOCK, shape.width(block));
        }
      }
    }
  });
}

void synthesis_rgb(Tensor x, Tensor weight, Tensor styles, Tensor bias, std::optional<Tensor> below, Tensor f,
                   double clamp, Tensor out) {
  check_plane("x", x);
  STD_TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 1 && weight.size(3) == 1 &&
                      x.size(3) == filled(weight.size(1)) && out.size(1) == weight.size(0) &&
                      styles.size(1) == x.size(3),
                  "`weight` must be (O, I, 1, 1), with the channels of `x` and `out`");
  STD_TORCH_CHECK(!below || (below->size(2) * 2 == out.size(2) && below->size(3) * 2 == out.size(3)),
                  "`below` must have half the size of `out`");
  by_precision(x, [&](auto kind) {
    run(plane_of<decltype(kind)>(x), weight, read<float>(styles), bias, below, read<float>(f), clamp, out);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "synthesis_rgb(Tensor x, Tensor weight, Tensor styles, Tensor bias, Tensor? below, Tensor f, float clamp, "
      "Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) { m.impl("synthesis_rgb", TORCH_BOX(&synthesis_rgb)); }

}  // namespace histoxplain
