// A convolution of activations that lie inside a border of zeros, strip by strip of pixels, with packed weights.
//
// Activations lie as (N, H + 2, W + 2, C), so that no pixel is a special case; their channels fill up to a multiple of
// CHANNELS. Weights are packed once: block of output channels, tap, input channel, output channel, so that the inner
// loop reads them in order.
#pragma once

#include <vector>

#include "layout.h"
#include "tile.h"

namespace histoxplain {

constexpr int64_t BAND_BYTES = 1 << 18;  // of input that a thread convolves with every block before it goes on: half of L2

inline int64_t filled(int64_t channels) { return (channels + CHANNELS - 1) / CHANNELS * CHANNELS; }

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Activations inside their border, which may be none.
template <class T>
struct Plane {
  T* data;
  int64_t images, height, width, channels;  // without the border
  int64_t border = 1;
  int64_t row() const { return (width + 2 * border) * channels; }
  int64_t image() const { return (height + 2 * border) * row(); }
  T* at(int64_t n, int64_t y, int64_t x) const {
    return data + n * image() + (y + border) * row() + (x + border) * channels;
  }
};

template <class T>
Plane<T> plane_of(const Tensor& x) {
  return {write<T>(x), x.size(0), x.size(1) - 2, x.size(2) - 2, x.size(3)};
}

template <class T>
void clear(const Plane<T>& p) {
  torch::stable::parallel_for(0, p.images * (p.height + 2), 16, [&](int64_t begin, int64_t end) {
    std::fill(p.data + begin * p.row(), p.data + end * p.row(), T{});
  });
}

template <class T>
void clear_border(const Plane<T>& p) {
  torch::stable::parallel_for(0, p.images, 4, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      T* top = p.at(n, -1, -1);
      std::fill(top, top + p.row(), T{});
      std::fill(top + p.image() - p.row(), top + p.image(), T{});
      for (int64_t y = 0; y < p.height; y++) {
        std::fill(p.at(n, y, -1), p.at(n, y, 0), T{});
        std::fill(p.at(n, y, p.width), p.at(n, y, p.width + 1), T{});
      }
    }
  });
}

struct Weight {
  int64_t out, into, taps;  // out and into filled
  int64_t blocks() const { return ceil_div(out, BLOCK); }
  int64_t width(int64_t block) const { return std::min(BLOCK, out - block * BLOCK); }
  int64_t start(int64_t block) const { return block * BLOCK * taps * into; }
  int64_t tap_stride(int64_t block) const { return into * width(block); }
  int64_t numel() const { return out * taps * into; }
};

// A grid of output pixels and the taps that make them: all of them, or one of the four phases of a transposed one.
struct Phase {
  int64_t top, height, width;  // rows top to top + height of it are wanted
  int64_t y, x, stride;        // pixel (i, j) of the phase is (y + i * stride, x + j * stride) of the whole
  Taps taps;
};

// Sums of neighbouring output pixels of a phase: (y, x), (y, x + step), ..., each of `width` channels from `channel` on.
struct Strip {
  int64_t n, y, x, step, pixels, channel, width;
  const float* sums;
  floats at(int64_t pixel, int64_t i) const { return load(sums + pixel * width + i); }
};

// Calls emit(strip) for every strip of output pixels and block of channels. Tasks are bands of rows times blocks of
// channels; where one band holds the image, a block's weights serve all images before the next is read.
template <class T, class Emit>
void convolve(const Plane<T>& in, const Weight& shape, const T* weights, int64_t weights_image,
              const std::vector<Phase>& phases, const Emit& emit) {
  int64_t rows = std::max<int64_t>(1, BAND_BYTES / (in.row() * (int64_t)sizeof(T)) - 2);
  int64_t height = 0;
  for (auto& phase : phases) height = std::max(height, phase.height);
  int64_t bands = ceil_div(height, rows), blocks = shape.blocks();
  rows = ceil_div(height, bands);
  bool weights_first = bands == 1;
  torch::stable::parallel_for(0, in.images * bands * blocks, 1, [&](int64_t begin, int64_t end) {
    alignas(64) float sums[PIXELS * BLOCK];
    for (int64_t task = begin; task < end; task++) {
      int64_t block = weights_first ? task / in.images : task % blocks;
      int64_t n = weights_first ? task % in.images : task / blocks / bands;
      int64_t top = weights_first ? 0 : task / blocks % bands * rows;
      int64_t wide = shape.width(block), stride = shape.tap_stride(block);
      const T* w = weights + n * weights_image + shape.start(block);
      for (auto& phase : phases) {
        int64_t strips = ceil_div(phase.width, PIXELS);
        for (int64_t i = phase.top + top; i < phase.top + std::min(top + rows, phase.height); i++) {
          for (int64_t strip = 0; strip < strips; strip++) {
            int64_t left = strip * phase.width / strips, right = (strip + 1) * phase.width / strips;
            tile_for<T>(right - left, wide)(in.at(n, i, left), in.channels, phase.taps, in.channels, w, stride, sums);
            emit(Strip{n, phase.y + i * phase.stride, phase.x + left * phase.stride, phase.stride, right - left,
                       block * BLOCK, wide, sums});
          }
        }
      }
    }
  });
}

// A kernel of side `side`, centred.
template <class T>
std::vector<Phase> same_size(const Plane<T>& in, int64_t side) {
  Phase all{0, in.height, in.width, 0, 0, 1, {}};
  for (int64_t k = 0; k < side * side; k++) {
    all.taps.at[k] = (k / side - side / 2) * in.row() + (k % side - side / 2) * in.channels;
    all.taps.weight[k] = k;
  }
  all.taps.count = side * side;
  return {all};
}

// out[2i + ky, 2j + kx] += x[i, j] w[ky, kx]: output rows of even number see ky 0 of row i and ky 2 of row i - 1. Only
// rows `from` to `to` of the output are wanted.
template <class T>
std::vector<Phase> twice_the_size(const Plane<T>& in, int64_t from, int64_t to) {
  std::vector<Phase> phases;
  for (int64_t odd = 0; odd < 4; odd++) {
    int64_t y = odd / 2, x = odd % 2, top = (from - y + 1) / 2;
    Phase phase{top, (to - y + 1) / 2 - top, in.width + 1 - x, y, x, 2, {}};
    for (int64_t ky = y; ky < 3; ky += 2) {
      for (int64_t kx = x; kx < 3; kx += 2) {
        phase.taps.at[phase.taps.count] = -(ky / 2) * in.row() - (kx / 2) * in.channels;
        phase.taps.weight[phase.taps.count++] = ky * 3 + kx;
      }
    }
    phases.push_back(phase);
  }
  return phases;
}

}  // namespace histoxplain
