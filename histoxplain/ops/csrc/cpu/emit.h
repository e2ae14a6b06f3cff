// What becomes of convolved tiles: the last argument of Convolution::run.
#pragma once

#include "finish.h"
#include "winograd.h"

namespace histoxplain {

// Rounds what is convolved, into the result.
template <class T>
struct Rounded {
  Plane<T> to;
  static constexpr int64_t top = 0;

  template <class S>
  INLINE void operator()(const Patch<S>& patch, int64_t) const {
    T* p = to.at(patch.n, patch.y, patch.x) + patch.channel;
    patch.visit(to.height, to.width, [&](int64_t i, int64_t j, floats value) INLINE {
      store(p + i * to.row() + j * to.channels, value);
    });
  }
};

// Finishes what is convolved, into the result.
template <class T>
struct Finished {
  Plane<T> to;
  Finishing finishing;
  static constexpr int64_t top = 0;

  template <class S>
  INLINE void operator()(const Patch<S>& patch, int64_t) const {
    Finish finish = finishing.at(patch.n, patch.channel);
    const float* noise = finishing.row(patch.n, patch.y) + patch.x;
    T* p = to.at(patch.n, patch.y, patch.x) + patch.channel;
    patch.visit(to.height, to.width, [&](int64_t i, int64_t j, floats value) INLINE {
      store(p + i * to.row() + j * to.channels, finish(value, noise[i * finishing.noise_row + j]));
    });
  }
};

// The gradient of what came in and of its styles, from that of their product. Each part of the work adds up its own
// `dstyle`, (parts_of_sums(), N, C).
template <class T>
struct Returned {
  Plane<T> to, x;
  const float* style;  // (N, C)
  float* dstyle;
  static constexpr int64_t top = 0;

  template <class S>
  INLINE void operator()(const Patch<S>& patch, int64_t part) const {
    int64_t at = patch.n * x.channels + patch.channel, start = patch.y * x.row() + patch.x * x.channels;
    const T* from = x.at(patch.n, 0, 0) + start + patch.channel;
    T* p = to.at(patch.n, 0, 0) + start + patch.channel;
    floats scale = load(style + at), sum{};
    patch.visit(x.height, x.width, [&](int64_t i, int64_t j, floats value) INLINE {
      int64_t pixel = i * x.row() + j * x.channels;
      sum += value * load(from + pixel);
      store(p + pixel, value * scale);
    });
    float* total = dstyle + part * x.images * x.channels + at;
    store(total, load(total) + sum);
  }
};

}  // namespace histoxplain
