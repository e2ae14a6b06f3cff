// What follows StyleGAN2's convolutions, in one pass over memory: clamp(act(x * scale + noise + b) * gain), and in one
// more its gradients.
#include "launch.h"
#include "layout.h"

#include <tuple>
#include <vector>

namespace histoxplain {

/// Images as they lie in memory, a matrix each: channels by pixels in the contiguous format, pixels by channels in
/// channels-last.
struct Matrices {
  int64_t images, rows, columns;
  bool channels_last;

  explicit Matrices(const Tensor& x) : images(x.size(0)), channels_last(is_channels_last(x)) {
    rows = channels_last ? x.size(2) * x.size(3) : x.size(1);
    columns = channels_last ? x.size(1) : x.size(2) * x.size(3);
  }

  C10_HOST_DEVICE int64_t channels() const { return channels_last ? columns : rows; }
  C10_HOST_DEVICE int64_t pixels() const { return channels_last ? rows : columns; }

  /// Values given per channel, or per pixel, at V neighbours of one row.
  template <int V, class A>
  C10_HOST_DEVICE Pack<A, V> per_channel(const A* values, int64_t row, int64_t column) const {
    return channels_last ? load<V>(values + column) : repeat<V>(values[row]);
  }
  template <int V, class A>
  C10_HOST_DEVICE Pack<A, V> per_pixel(const A* values, int64_t row, int64_t column) const {
    return channels_last ? repeat<V>(values[row]) : load<V>(values + column);
  }
};

template <class T, int V, Activation act>
struct Epilogue {
  using A = Compute<T>;
  T* y;
  const T* x;
  const A *scale, *noise, *b;  // (N, C), (N or 1, pixels), (C), or null
  int64_t noise_stride;        // from image to image
  Matrices shape;
  Response<T, act> response;

  C10_HOST_DEVICE void operator()(int64_t group) const {
    int64_t n = group * V;
    const int64_t column = split(n, shape.columns), row = split(n, shape.rows);
    Pack<T, V> values = load<V>(x + group * V);
    Pack<A, V> factor = repeat<V>(A(1)), pixel = repeat<V>(A(0)), channel = repeat<V>(A(0));
    if (scale) factor = shape.per_channel<V>(scale + n * shape.channels(), row, column);
    if (noise) pixel = shape.per_pixel<V>(noise + n * noise_stride, row, column);
    if (b) channel = shape.per_channel<V>(b, row, column);
    for (int v = 0; v < V; ++v)
      values.at[v] = T(response.forward(A(values.at[v]) * factor.at[v] + pixel.at[v] + channel.at[v]));
    store<V>(y + group * V, values);
  }
};

/// Sums along the rows and columns of tiles, one entry of `rows` or `columns` per tile; null where they are not wanted.
template <class A>
struct Sums {
  A *rows = nullptr, *columns = nullptr;  // (tiles across, N, rows), (tiles down, N, columns)
};

/// With t the gradient of the activation's argument: dx = t * scale, and sums of t and t * x over one tile of a matrix.
///
/// A warp walks down the tile row by row, each thread with V columns; what it finds along its columns stays in
/// registers, and both kinds of sum end in shared memory. A second pass adds up the tiles, so sums do not depend on
/// which block was first.
template <class T, int V, Activation act>
struct EpilogueBackward {
  using A = Compute<T>;
  static constexpr int kLanes = 32, kWarps = kThreads / kLanes;
  static constexpr int kHeight = 32, kWidth = kLanes * V;

  struct Shared {
    A row_sums[2][kHeight][kLanes + 1];  // of t, of t * x; the odd stride spreads a column over all banks
    A column_sums[2][kWarps][kWidth];
  };

  T* dx;
  const T *dy, *x, *y;
  const A* scale;  // or null
  Matrices shape;
  Response<T, act> response;
  Sums<A> plain, weighted;  // of t, of t * x

  struct Place {
    int64_t n, down, across;  // the image, and which of its tiles
  };

  C10_HOST_DEVICE int64_t high() const { return ceil_divide(shape.rows, kHeight); }
  C10_HOST_DEVICE int64_t wide() const { return ceil_divide(shape.columns, kWidth); }

  C10_HOST_DEVICE Place place(int64_t tile) const {
    const int64_t across = split(tile, wide()), down = split(tile, high());
    return {tile, down, across};
  }

  C10_HOST_DEVICE void gather(int64_t tile, int thread, Shared& shared) const {
    const Place at = place(tile);
    const int lane = thread % kLanes, warp = thread / kLanes;
    const int64_t top = at.down * kHeight, column = at.across * kWidth + lane * V;
    Pack<A, V> columns[2] = {};
    for (int k = warp; k < kHeight; k += kWarps) {
      A rows[2] = {};
      if (top + k < shape.rows && column < shape.columns) visit(at.n, top + k, column, rows, columns);
      for (int s = 0; s < 2; ++s) shared.row_sums[s][k][lane] = rows[s];
    }
    for (int s = 0; s < 2; ++s) store<V>(&shared.column_sums[s][warp][lane * V], columns[s]);
  }

  C10_HOST_DEVICE void visit(int64_t n, int64_t row, int64_t column, A (&rows)[2], Pack<A, V> (&columns)[2]) const {
    const int64_t i = (n * shape.rows + row) * shape.columns + column;
    const Pack<T, V> values = load<V>(y + i);
    Pack<T, V> slopes = load<V>(dy + i);
    const Pack<T, V> inputs = x ? load<V>(x + i) : repeat<V>(T(0));
    Pack<A, V> factor = repeat<V>(A(1));
    if (scale) factor = shape.per_channel<V>(scale + n * shape.channels(), row, column);
    for (int v = 0; v < V; ++v) {
      const A t = response.backward(A(slopes.at[v]), A(values.at[v])), tx = t * A(inputs.at[v]);
      slopes.at[v] = T(t * factor.at[v]);
      rows[0] += t, rows[1] += tx;
      columns[0].at[v] += t, columns[1].at[v] += tx;
    }
    store<V>(dx + i, slopes);
  }

  C10_HOST_DEVICE void finish(int64_t tile, int thread, const Shared& shared) const {
    const Place at = place(tile);
    const int64_t top = at.down * kHeight, left = at.across * kWidth;
    for (int i = thread; i < 2 * kHeight; i += kThreads) {
      const int s = i / kHeight, k = i % kHeight;
      A* const sums = s ? weighted.rows : plain.rows;
      if (!sums || top + k >= shape.rows) continue;
      A sum = 0;
      for (int lane = 0; lane < kLanes; ++lane) sum += shared.row_sums[s][k][lane];
      sums[(at.across * shape.images + at.n) * shape.rows + top + k] = sum;
    }
    for (int i = thread; i < 2 * kWidth; i += kThreads) {
      const int s = i / kWidth, k = i % kWidth;
      A* const sums = s ? weighted.columns : plain.columns;
      if (!sums || left + k >= shape.columns) continue;
      A sum = 0;
      for (int warp = 0; warp < kWarps; ++warp) sum += shared.column_sums[s][warp][k];
      sums[(at.down * shape.images + at.n) * shape.columns + left + k] = sum;
    }
  }
};

/// Whether V neighbours always share a row, and every pointer is at 16 bytes.
template <class T, class... P>
bool fits(const Matrices& shape, const P*... starts) {
  return shape.columns % kWidth<T> == 0 && aligned(starts...);
}

Tensor epilogue(Tensor x, std::optional<Tensor> scale, std::optional<Tensor> noise, std::optional<Tensor> b,
                std::string act, double alpha, double gain, double clamp) {
  x = formatted(x);
  for (auto* p : {&scale, &noise, &b})
    if (*p) *p = parameter(**p, x);
  const Tensor y = torch::stable::empty_like(x);
  const Queue queue(x);
  const Matrices shape(x);
  with_type(x, "epilogue", [&](auto zero) {
    using T = decltype(zero);
    using A = Compute<T>;
    const int64_t noise_stride = noise && noise->size(0) > 1 ? shape.pixels() : 0;
    const bool wide = fits<T>(shape, data<T>(y), data<T>(x), data<A>(scale), data<A>(noise), data<A>(b));
    with_activation<3>(act, [&](auto chosen) {
      with_width<T>(wide, [&](auto width) {
        const Response<T, chosen> response(alpha, gain, clamp);
        const Epilogue<T, width, chosen> body{data<T>(y), data<T>(x),   data<A>(scale), data<A>(noise),
                                              data<A>(b), noise_stride, shape,          response};
        queue.each(body, x.numel() / width);
      });
    });
  });
  return y;
}

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor>;  // of x, scale, noise, b

Gradients epilogue_backward(Tensor dy, Tensor x, Tensor y, std::optional<Tensor> scale, std::vector<bool> wanted,
                            std::string act, double alpha, double gain, double clamp) {
  y = formatted(y);
  dy = laid_out_like(dy, y);
  if (wanted[0]) x = laid_out_like(x, y);
  if (scale) scale = parameter(*scale, y);
  const Tensor dx = torch::stable::empty_like(y);
  const Queue queue(y);
  const Matrices shape(y);
  Tensor dscale, dnoise, db;  // at first of each tile on its own, (tiles, N, channels or pixels)
  with_type(y, "epilogue_backward", [&](auto zero) {
    using T = decltype(zero);
    using A = Compute<T>;
    const T* inputs = wanted[0] ? data<T>(x) : nullptr;
    const bool wide = fits<T>(shape, data<T>(dx), data<T>(dy), inputs, data<T>(y), data<A>(scale));
    with_activation<3>(act, [&](auto chosen) {
      with_width<T>(wide, [&](auto width) {
        const Response<T, chosen> response(alpha, gain, clamp);
        EpilogueBackward<T, width, chosen> body{data<T>(dx),    data<T>(dy), inputs,   data<T>(y),
                                                data<A>(scale), shape,       response, {},         {}};
        const auto room = [&](Sums<A>& sums, bool needed, bool per_channel) {
          const bool rows = per_channel != shape.channels_last;
          const int64_t size[] = {rows ? body.wide() : body.high(), shape.images, rows ? shape.rows : shape.columns};
          const int64_t nothing[] = {0};
          if (!needed) return torch::stable::new_empty(y, nothing, compute_type(y));
          Tensor tiles = torch::stable::new_empty(y, size, compute_type(y));
          (rows ? sums.rows : sums.columns) = data<A>(tiles);
          return tiles;
        };
        dscale = room(body.weighted, wanted[0], true);
        dnoise = room(body.plain, wanted[1], false);
        db = room(body.plain, wanted[2], true);
        queue.tiles(body, shape.images * body.high() * body.wide());
      });
    });
  });
  const int64_t tiles[] = {0}, tiles_and_images[] = {0, 1}, images[] = {y.size(0), 1, y.size(2), y.size(3)};
  if (wanted[0]) dscale = torch::stable::sum(dscale, tiles);
  if (wanted[1]) dnoise = torch::stable::view(torch::stable::sum(dnoise, tiles), images);
  if (wanted[2]) db = torch::stable::sum(db, tiles_and_images);
  return {dx, dscale, dnoise, db};
}

HISTOXPLAIN_KERNELS(m) {
  m.impl("epilogue", TORCH_BOX(&epilogue));
  m.impl("epilogue_backward", TORCH_BOX(&epilogue_backward));
}

}  // namespace histoxplain
