// Styles: they scale input channels, and the reciprocal lengths of the scaled kernels scale output channels.
#pragma once

#include <cmath>

#include "convolve.h"

namespace histoxplain {

// Whether the weights are fewer than the activations, so that it is they that styles scale.
template <class T>
bool folds(const Plane<T>& in, const Weight& shape) {
  return in.height * in.width > shape.taps * shape.out;
}

// Packed weights times the style of their input channels, image by image.
template <class T>
void fold(const T* w, const Weight& shape, int64_t images, const float* styles, T* out) {
  int64_t rows = shape.blocks() * shape.taps;
  torch::stable::parallel_for(0, images * rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      int64_t n = task / rows, block = task % rows / shape.taps, wide = shape.width(block);
      int64_t at = shape.start(block) + task % shape.taps * shape.tap_stride(block);
      const float* style = styles + n * shape.into;
      T* to = out + n * shape.numel();
      for (int64_t c = 0; c < shape.into; c += PAIR<T>) {
        floats s;
        for (int64_t i = 0; i < LANE; i++) s[i] = style[c + i % PAIR<T>];
        for (int64_t i = 0; i < wide * PAIR<T>; i += LANE, at += LANE) store(to + at, load(w + at) * s);
      }
    }
  });
}

// Activations times the style of their channels, border and all.
template <class T>
void modulate(const Plane<T>& in, const float* styles, const Plane<T>& out) {
  int64_t pixels = in.image() / in.channels;
  torch::stable::parallel_for(0, in.images * pixels, GRAIN / in.channels, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float* style = styles + i / pixels * in.channels;
      for (int64_t c = 0; c < in.channels; c += LANE) {
        store(out.data + i * in.channels + c, load(in.data + i * in.channels + c) * load(style + c));
      }
    }
  });
}

// rsqrt(sum over inputs of style squared times energy + 1e-8), (N, C)
inline std::vector<float> demodulation(const float* energy, const float* styles, int64_t images, const Weight& shape) {
  std::vector<float> out(images * shape.out);
  torch::stable::parallel_for(0, shape.out, 16, [&](int64_t begin, int64_t end) {
    for (int64_t n = 0; n < images; n++) {
      const float* style = styles + n * shape.into;
      for (int64_t o = begin; o < end; o++) {
        floats sum{};
        for (int64_t c = 0; c < shape.into; c += LANE) {
          floats s = load(style + c);
          sum += s * s * load(energy + o * shape.into + c);
        }
        out[n * shape.out + o] = 1 / std::sqrt(histoxplain::sum<float>(sum) + 1e-8f);
      }
    }
  });
  return out;
}

}  // namespace histoxplain
