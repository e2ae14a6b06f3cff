// Zero insertion, padding or cropping, a finite impulse response, decimation.
#include "launch.h"
#include "layout.h"

#include <vector>

namespace histoxplain {

/// What happens along one axis of an image.
struct Axis {
  int64_t in, out;
  int up, down, pad, taps;

  static Axis untouched(int64_t size) { return {size, size, 1, 1, 0, 1}; }

  static Axis resampled(int64_t in, int64_t up, int64_t down, int64_t before, int64_t after, int64_t taps) {
    const int64_t rest = in * up + before + after - taps;
    STD_TORCH_CHECK(rest >= 0, "`padding` must leave at least one sample, got ", before, " and ", after);
    return {in, rest / down + 1, int(up), int(down), int(before), int(taps)};
  }
};

/// Images (N, C, H, W), wherever they lie in memory.
template <class T>
struct Images {
  T* first;
  int64_t n_stride, c_stride, h_stride, w_stride;

  explicit Images(const Tensor& x)
      : first(static_cast<T*>(x.data_ptr())),
        n_stride(x.stride(0)),
        c_stride(x.stride(1)),
        h_stride(x.stride(2)),
        w_stride(x.stride(3)) {}

  C10_HOST_DEVICE T* at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return first + n * n_stride + c * c_stride + h * h_stride + w * w_stride;
  }
};

/// One sample of the result a call, with any factors and any filter (rows.taps, columns.taps).
template <class T>
struct Resample {
  using A = Compute<T>;
  Images<const T> x;
  T* y;  // dense, channels first or last
  const A* f;
  Axis rows, columns;
  int64_t channels;
  bool channels_last, flip;
  A gain;

  C10_HOST_DEVICE void operator()(int64_t i) const {
    int64_t n = i, c = 0;
    if (channels_last) c = split(n, channels);
    const int64_t column = split(n, columns.out), row = split(n, rows.out);
    if (!channels_last) c = split(n, channels);
    const int64_t top = row * rows.down - rows.pad, left = column * columns.down - columns.pad;
    const int64_t h0 = top > 0 ? ceil_divide(top, rows.up) : 0, w0 = left > 0 ? ceil_divide(left, columns.up) : 0;
    A sum = 0;
    for (int64_t h = h0, v = h0 * rows.up - top; h < rows.in && v < rows.taps; ++h, v += rows.up)
      for (int64_t w = w0, u = w0 * columns.up - left; w < columns.in && u < columns.taps; ++w, u += columns.up)
        sum += A(*x.at(n, c, h, w)) * tap(v, u);
    y[i] = T(sum * gain);
  }

  C10_HOST_DEVICE A tap(int64_t v, int64_t u) const {
    const int64_t k = v * columns.taps + u;
    return f[flip ? k : static_cast<int64_t>(rows.taps) * columns.taps - 1 - k];
  }
};

constexpr int kTaps = 4;

/// Samples of the input that `out` neighbours of the result are made of, the first of them at an even place.
C10_HOST_DEVICE constexpr int footprint(int out, int up, int down) {
  return ((out - 1) * down + kTaps - 1) / up + 1;
}

/// StyleGAN2's resampling: 4 x 4 taps, and both axes kept, doubled or halved. A block gathers the part of the input
/// that its tile of the result needs. A thread computes kPatch x UP neighbours in V channels, so that one load serves
/// several sums; since tiles start at even places of the upsampled image, sums know their taps at compile time.
template <class T, int UP, int DOWN, int V>
struct ResampleTile {
  using A = Compute<T>;
  static constexpr int kPacks = V > 1 ? 4 : 1;  // of V channels each
  static constexpr int kAcross = V > 1 ? 8 : 32;
  static constexpr int kAlong = kThreads / kPacks / kAcross;
  static constexpr int kPatch = UP * DOWN == 1 ? 4 : 2;
  static constexpr int kHeight = kAlong * kPatch, kWidth = kAcross * UP;
  static constexpr int kInHeight = footprint(kHeight, UP, DOWN), kInWidth = footprint(kWidth, UP, DOWN);

  struct Shared {
    Pack<T, V> cells[kInHeight][kInWidth][kPacks];
    A taps[kTaps][kTaps];
  };

  struct Place {
    int64_t n, pack, row, column;  // the first of the tile in the result; row and column may be -1
  };

  Images<const T> x;
  Images<T> y;
  const A* f;  // (4, 4), or (4,) if separable
  bool separable, flip;
  A gain;
  Axis rows, columns;
  int64_t packs;

  C10_HOST_DEVICE int64_t shift(const Axis& axis) const { return UP == 2 ? axis.pad & 1 : 0; }
  C10_HOST_DEVICE int64_t high() const { return ceil_divide(rows.out + shift(rows), kHeight); }
  C10_HOST_DEVICE int64_t wide() const { return ceil_divide(columns.out + shift(columns), kWidth); }
  C10_HOST_DEVICE int64_t deep() const { return ceil_divide(packs, kPacks); }

  C10_HOST_DEVICE Place place(int64_t tile) const {
    int64_t pack = 0;
    if (V > 1) pack = split(tile, deep()) * kPacks;
    const int64_t column = split(tile, wide()) * kWidth - shift(columns);
    const int64_t row = split(tile, high()) * kHeight - shift(rows);
    if (V == 1) pack = split(tile, deep());
    return {tile, pack, row, column};
  }

  C10_HOST_DEVICE void gather(int64_t tile, int thread, Shared& shared) const {
    const Place to = place(tile);
    const int64_t top = (to.row * DOWN - rows.pad) / UP, left = (to.column * DOWN - columns.pad) / UP;
    for (int i = thread; i < kInHeight * kInWidth * kPacks; i += kThreads) {
      const int p = i % kPacks, u = i / kPacks % kInWidth, v = i / kPacks / kInWidth;
      const int64_t h = top + v, w = left + u, pack = to.pack + p;
      const bool inside = 0 <= h && h < rows.in && 0 <= w && w < columns.in && pack < packs;
      shared.cells[v][u][p] = inside ? load<V>(x.at(to.n, pack * V, h, w)) : repeat<V>(T(0));
    }
    if (thread < kTaps * kTaps) {
      const int k = flip ? thread : kTaps * kTaps - 1 - thread;
      shared.taps[thread / kTaps][thread % kTaps] = gain * (separable ? f[k / kTaps] * f[k % kTaps] : f[k]);
    }
  }

  C10_HOST_DEVICE void finish(int64_t tile, int thread, const Shared& shared) const {
    const int p = thread % kPacks, across = thread / kPacks % kAcross, along = thread / kPacks / kAcross;
    Pack<A, V> sums[kPatch][UP] = {};
#pragma unroll
    for (int v = 0; v < footprint(kPatch, UP, DOWN); ++v) {
#pragma unroll
      for (int u = 0; u < footprint(UP, UP, DOWN); ++u)
        spread(shared.cells[along * kPatch * DOWN / UP + v][across * DOWN + u][p], v * UP, u * UP, shared, sums);
    }
    const Place to = place(tile);
    if (to.pack + p >= packs) return;
#pragma unroll
    for (int j = 0; j < kPatch; ++j) {
      const int64_t row = to.row + along * kPatch + j;
      if (row < 0 || row >= rows.out) continue;
#pragma unroll
      for (int i = 0; i < UP; ++i) {
        const int64_t column = to.column + across * UP + i;
        if (column < 0 || column >= columns.out) continue;
        Pack<T, V> values;
        for (int c = 0; c < V; ++c) values.at[c] = T(sums[j][i].at[c]);
        store<V>(y.at(to.n, (to.pack + p) * V, row, column), values);
      }
    }
  }

  /// Adds the sample at (v, u) of the upsampled image to every sum of the patch that it is a part of.
  C10_HOST_DEVICE static void spread(const Pack<T, V>& cell, int v, int u, const Shared& shared,
                                     Pack<A, V> (&sums)[kPatch][UP]) {
#pragma unroll
    for (int j = 0; j < kPatch; ++j) {
#pragma unroll
      for (int i = 0; i < UP; ++i) {
        const int b = v - j * DOWN, a = u - i * DOWN;
        if (b < 0 || b >= kTaps || a < 0 || a >= kTaps) continue;
#pragma unroll
        for (int c = 0; c < V; ++c) sums[j][i].at[c] += shared.taps[b][a] * A(cell.at[c]);
      }
    }
  }
};

Tensor empty_images(const Tensor& like, int64_t height, int64_t width, bool channels_last) {
  using torch::headeronly::MemoryFormat;
  const int64_t size[] = {like.size(0), like.size(1), height, width};
  const auto format = channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  return torch::stable::empty({size, 4}, like.scalar_type(), std::nullopt, like.device(), std::nullopt, format);
}

template <class T>
Tensor resample(const Queue& queue, const Tensor& x, const Tensor& f, Axis rows, Axis columns, bool flip, double gain) {
  using A = Compute<T>;
  const bool channels_last = is_channels_last(x);
  Tensor y = empty_images(x, rows.out, columns.out, channels_last);
  const Images<const T> from(x);
  const Resample<T> body{from, data<T>(y), data<A>(f), rows, columns, x.size(1), channels_last, flip, A(gain)};
  queue.each(body, y.numel());
  return y;
}

template <class T, int UP, int DOWN>
Tensor resample_by_tiles(const Queue& queue, const Tensor& x, const Tensor& f, Axis rows, Axis columns, bool flip,
                         double gain) {
  using A = Compute<T>;
  const bool channels_last = is_channels_last(x);
  Tensor y = empty_images(x, rows.out, columns.out, channels_last);
  const bool wide = channels_last && x.size(1) % kWidth<T> == 0 && aligned(data<T>(x), data<T>(y));
  with_width<T>(wide, [&](auto width) {
    const Images<const T> from(x);
    const Images<T> to(y);
    const bool separable = f.dim() == 1;
    const ResampleTile<T, UP, DOWN, width> body{from, to,   data<A>(f), separable,        flip, A(gain),
                                                rows, columns, x.size(1) / width};
    queue.tiles(body, x.size(0) * body.deep() * body.high() * body.wide());
  });
  return y;
}

Tensor upfirdn2d(Tensor x, Tensor f, std::vector<int64_t> up, std::vector<int64_t> down, std::vector<int64_t> padding,
                 bool flip, double gain) {
  const Axis rows = Axis::resampled(x.size(2), up[1], down[1], padding[2], padding[3], f.size(0));
  const Axis columns = Axis::resampled(x.size(3), up[0], down[0], padding[0], padding[1], f.size(f.dim() - 1));
  const Tensor taps = parameter(f, x);
  const Queue queue(x);
  Tensor y;
  with_type(x, "upfirdn2d", [&](auto zero) {
    using T = decltype(zero);
    const auto is = [&](int up_by, int down_by) {
      const bool both = rows.up == columns.up && rows.down == columns.down;
      return both && rows.taps == kTaps && columns.taps == kTaps && rows.up == up_by && rows.down == down_by;
    };
    if (is(1, 1)) {
      y = resample_by_tiles<T, 1, 1>(queue, x, taps, rows, columns, flip, gain);
    } else if (is(2, 1)) {
      y = resample_by_tiles<T, 2, 1>(queue, x, taps, rows, columns, flip, gain);
    } else if (is(1, 2)) {
      y = resample_by_tiles<T, 1, 2>(queue, x, taps, rows, columns, flip, gain);
    } else if (f.dim() == 2) {
      y = resample<T>(queue, x, taps, rows, columns, flip, gain);
    } else {
      y = resample<T>(queue, x, taps, Axis::untouched(rows.in), columns, flip, 1);
      y = resample<T>(queue, y, taps, rows, Axis::untouched(columns.out), flip, gain);
    }
  });
  return y;
}

HISTOXPLAIN_KERNELS(m) {
  m.impl("upfirdn2d", TORCH_BOX(&upfirdn2d));
}

}  // namespace histoxplain
