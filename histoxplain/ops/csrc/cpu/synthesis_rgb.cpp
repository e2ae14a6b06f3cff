// The colours that a resolution of StyleGAN2's generator adds to the image, for inference.
#include "pack.h"

namespace histoxplain {
namespace {

constexpr int64_t COLOURS = 3;  // that are summed at a time

// Colours of LANE neighbouring pixels, of which those beyond the first `pixels` mean nothing: sums over channels of x
// times weights (COLOURS, channels). Half of the pixels fill the registers.
template <class T>
std::array<floats, COLOURS> mix(const T* x, int64_t channels, int64_t pixels, const float* weights) {
  constexpr int64_t HALF = LANE / 2;
  std::array<std::array<floats, 2>, COLOURS> sums;
  for (int64_t half = 0; half < 2; half++) {
    std::array<const T*, HALF> at;
    std::array<std::array<floats, HALF>, COLOURS> parts{};
    each<HALF>([&](auto i) { at[i] = x + std::min(half * HALF + i, pixels - 1) * channels; });
    for (int64_t c = 0; c < channels; c += LANE) {
      each<HALF>([&](auto i) {
        floats v = load(at[i] + c);
        __builtin_prefetch(at[i] + LANE * channels + c);
        each<COLOURS>([&](auto k) { parts[k][i] += v * load(weights + k * channels + c); });
      });
    }
    each<COLOURS>([&](auto k) { sums[k][half] = folded<1>(parts[k]); });
  }
  std::array<floats, COLOURS> totals;
  each<COLOURS>([&](auto k) { totals[k] = folded<HALF>(sums[k][0], sums[k][1]); });
  return totals;
}

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

template <class T>
void run(const Plane<T>& in, const Tensor& weight, const float* styles, const float* bias,
         const std::optional<Tensor>& below, const float* f, double clamp, const Tensor& out) {
  Kernels kernels = kernels_of(weight);
  int64_t area = in.height * in.width, count = kernels.out, image = ceil_div(count, COLOURS) * COLOURS * in.channels;
  std::vector<float> weights(in.images * image);
  for (int64_t i = 0; i < in.images * count * kernels.into; i++) {
    int64_t n = i / kernels.into / count, o = i / kernels.into % count, c = i % kernels.into;
    weights[n * image + o * in.channels + c] = kernels.data[o * kernels.into + c] * styles[n * in.channels + c];
  }
  floats most = splat<floats>(clamp < 0 ? INFINITY : (float)clamp);
  share_range(in.images * in.height, ceil_div(GRAIN, in.row()), [&](int64_t begin, int64_t end) {
    std::vector<float> between(in.width / 2 + 2);
    for (int64_t row = begin; row < end; row++) {
      int64_t n = row / in.height, y = row % in.height;
      float* to = write<float>(out) + n * count * area + y * in.width;
      for (int64_t k = 0; k < count; k++) {
        if (!below) std::fill_n(to + k * area, in.width, 0.f);
        else enlarge_row(read<float>(*below) + (n * count + k) * area / 4, in.height / 2, in.width / 2, f, y,
                         between.data(), to + k * area);
      }
      for (int64_t x = 0; x < in.width; x += LANE) {
        int64_t pixels = std::min(in.width - x, LANE);
        for (int64_t o = 0; o < count; o += COLOURS) {
          auto colours = mix(in.at(n, y, x), in.channels, pixels, weights.data() + n * image + o * in.channels);
          for (int64_t k = 0; k < std::min(COLOURS, count - o); k++) {
            floats v = colours[k] + bias[o + k];
            v = v < most ? v : most;
            v = v > -most ? v : -most;
            float* p = to + (o + k) * area + x;
            if (pixels == LANE) store(p, v + load(p));
            else store(p, v + load(p, pixels), pixels);
          }
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
    run(plane_of<decltype(kind)>(x), weight, read<float>(styles), read<float>(bias), below, read<float>(f), clamp, out);
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
