// What follows the convolution of a layer: normalisation, noise, bias, activation, gain and clamp, on the way to memory.
#pragma once

#include "plane.h"

namespace histoxplain {

// What happens to sums of products before they are stored, for LANE channels of one image.
struct Finish {
  floats scale, bias, alpha, gain, most, least;

  floats operator()(floats v, float noise) const {
    v = v * scale + (bias + noise);
    floats bent = v * alpha;
    v = (v > bent ? v : bent) * gain;
    v = v < most ? v : most;
    return v > least ? v : least;
  }
};

struct Finishing {
  const float* scale;  // (N, C)
  const float* bias;   // (C)
  const float* noise;  // (N or 1, H, W), or one row
  int64_t channels, noise_row, noise_image;
  float alpha, gain, most;

  Finish at(int64_t n, int64_t o) const {
    return {load(scale + n * channels + o), load(bias + o),      splat<floats>(alpha),
            splat<floats>(gain),            splat<floats>(most), splat<floats>(-most)};
  }
  const float* row(int64_t n, int64_t y) const { return noise + n * noise_image + y * noise_row; }
};

// Four taps down and across `in`, which is one pixel wider than `out` and holds what rows `from` to `to` of it need, one
// row above them and two below; then the finish. A stretch of the row stays in the nearest cache while vector after
// vector of channels slides over it.
template <class T>
void filter(const Plane<T>& in, const Plane<T>& out, int64_t from, int64_t to, const float* f,
            const Finishing& finishing) {
  constexpr int64_t STRETCH = 32;
  const float f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
  share_range(out.images * (to - from), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      int64_t n = task / (to - from), i = task % (to - from), y = from + i, row = in.row(), step = in.channels;
      const float* noise = finishing.row(n, y);
      for (int64_t left = 0; left < out.width; left += STRETCH) {
        int64_t count = std::min(STRETCH, out.width - left);
        for (int64_t o = 0; o < out.channels; o += LANE) {
          Finish finish = finishing.at(n, o);
          const T* p = in.at(n, i, left - 1) + o;
          auto column = [&]() {
            floats v = load(p) * f3 + load(p + row) * f2 + load(p + 2 * row) * f1 + load(p + 3 * row) * f0;
            p += step;
            return v;
          };
          floats a = column(), b = column(), c = column();
          T* pixel = out.at(n, y, left) + o;
          for (int64_t x = 0; x < count; x++, pixel += step) {
            floats d = column();
            store(pixel, finish(a * f3 + b * f2 + c * f1 + d * f0, noise[left + x]));
            a = b, b = c, c = d;
          }
        }
      }
    }
  });
}

}  // namespace histoxplain
