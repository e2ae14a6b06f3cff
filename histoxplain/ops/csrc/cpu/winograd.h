// 3x3 convolutions of transformed tiles. Weights are read where they lie and transformed anew at every call, which
// costs little beside the multiplications and needs no memory that lasts.
#pragma once

#include "pack.h"

namespace histoxplain {

constexpr int64_t WEIGHT_BYTES = 5 << 19;  // of packed weights up to which all blocks are packed at once
constexpr int64_t BAND_BYTES = 3 << 16;    // of transformed tiles that a thread then multiplies at a time; L2 holds what they make, too
constexpr int64_t CHUNK_BYTES = 1 << 24;   // of those that all threads share while each packs a block
constexpr int64_t STRIPS = 4;              // of such tiles, which a block is multiplied with at a time
constexpr int64_t AHEAD = 2;               // tiles further on, whose memory is asked for

// MADE x MADE neighbouring values of the result, for LANE channels of one image.
template <class S>
struct Patch {
  int64_t n, y, x, channel;
  std::array<std::array<floats, S::MADE>, S::MADE> values;

  // f(row, column, value) of those that lie within
  template <class F>
  INLINE void visit(int64_t height, int64_t width, F&& f) const {
    bool whole = y + S::MADE <= height && x + S::MADE <= width;
    if (whole) {
      each<S::MADE>([&](auto i) { each<S::MADE>([&](auto j) { f(i, j, values[i][j]); }); });
    } else {
      each<S::MADE>([&](auto i) {
        each<S::MADE>([&](auto j) {
          if (y + i < height && x + j < width) f(i, j, values[i][j]);
        });
      });
    }
  }
};

// A rectangle of tiles of every image, and how many products along each axis are not zero there.
struct Part {
  int64_t first, top, left, rows, columns;
  int down, across;
};

// The tiles that make rows `from` to `to`, a multiple of MADE and any, of a result of some width. A transposed
// convolution's last row and column follow from one row and column that are read, which only the first product sees:
// their tiles come after all others.
template <class S>
struct Tiling {
  int64_t images;
  std::array<Part, 3> parts;  // inside, last column, last row

  template <class T>
  Tiling(const Plane<T>& in, int64_t width, int64_t from, int64_t to) : images(in.images) {
    auto is_last = [](int64_t made, int64_t read) {
      return made == read / S::STEP * S::MADE + 1 && read % S::STEP == 0;
    };
    int64_t low = is_last(to, in.height), right = is_last(width, in.width), top = from / S::MADE;
    int64_t rows = ceil_div(to, S::MADE) - top - low, columns = ceil_div(width, S::MADE) - right;
    parts = {Part{0, top, 0, rows, columns, S::PRODUCTS, S::PRODUCTS},
             Part{images * rows * columns, top, columns, rows, right, S::PRODUCTS, 1},
             Part{images * rows * (columns + right), top + rows, 0, low, columns + right, 1, S::PRODUCTS}};
  }

  int64_t tiles() const { return parts[2].first + images * parts[2].rows * parts[2].columns; }

  // f(part, begin, end) of those parts that tiles `first` to `first + count` are of, in numbers from `first` on
  template <class F>
  void split(int64_t first, int64_t count, F&& f) const {
    for (const Part& part : parts) {
      int64_t begin = std::max(part.first, first);
      int64_t end = std::min(part.first + images * part.rows * part.columns, first + count);
      if (begin < end) f(part, begin - first, end - first);
    }
  }

  // f(i, image, row, column) of tiles `first` to `first + count`
  template <class F>
  void visit(int64_t first, int64_t count, F&& f) const {
    split(first, count, [&](const Part& part, int64_t begin, int64_t end) {
      int64_t at = first + begin - part.first, rows = part.rows, columns = part.columns;
      int64_t n = at / (rows * columns), y = at / columns % rows, x = at % columns;
      for (int64_t i = begin; i < end; i++) {
        f(i, n, part.top + y, part.left + x);
        if (++x == columns) x = 0, y++;
        if (y == rows) y = 0, n++;
      }
    });
  }
};

// The SIDE x SIDE pixels at (top, left), with zeros beyond the image, whose rows lie `row` apart: where they are, or copied
// into `edge`.
template <int SIDE, class T>
const T* window(const Plane<T>& in, int64_t n, int64_t top, int64_t left, T* edge, int64_t& row) {
  auto within = [&](int64_t at, int64_t length) { return at >= -in.border && at < length + in.border; };
  bool whole = within(top, in.height) && within(top + SIDE - 1, in.height) && within(left, in.width) &&
               within(left + SIDE - 1, in.width);
  row = whole ? in.row() : SIDE * in.channels;
  if (whole) return in.at(n, top, left);
  for (int64_t i = 0; i < SIDE * SIDE; i++) {
    int64_t v = top + i / SIDE, u = left + i % SIDE;
    T* pixel = edge + i * in.channels;
    if (within(v, in.height) && within(u, in.width)) std::copy_n(in.at(n, v, u), in.channels, pixel);
    else std::fill_n(pixel, in.channels, T{});
  }
  return edge;
}

// Asks for SIDE x SIDE pixels and some of their channels before they are read or written, if they are within the image: the
// processor foresees rows, but not where the next one begins. Inlined, since GCC removes calls that have no effect.
template <int SIDE, bool WRITTEN, class T>
inline INLINE void expect(const Plane<T>& p, int64_t n, int64_t y, int64_t x, int64_t channel,
                          int64_t channels) {
  if (y + SIDE > p.height || x + SIDE > p.width) return;
  const T* first = p.at(n, y, x) + channel;
  for (int v = 0; v < SIDE; v++) {
    for (int u = 0; u < SIDE; u++) {
      const T* pixel = first + v * p.row() + u * p.channels;
      for (int64_t i = 0; i < channels; i += 64 / (int64_t)sizeof(T)) __builtin_prefetch(pixel + i, WRITTEN, 3);
    }
  }
}

// The transformed tile at (y, x) of tiles, of all channels times their style. `edge` has room for a tile.
template <class S, class T>
inline INLINE void transform(const Plane<T>& in, int64_t n, int64_t y, int64_t x, const float* style, T* edge, T* to,
               int64_t stride) {
  int64_t row;
  const T* from = window<S::READS>(in, n, y * S::STEP - S::PAD, x * S::STEP - S::PAD, edge, row);
  for (int64_t c = 0; c < in.channels; c += LANE) {
    floats scale = load(style + c);
    std::array<std::array<floats, S::READS>, S::TERMS> half;
    each<S::READS>([&](auto j) {
      std::array<floats, S::READS> column;
      each<S::READS>([&](auto i) { column[i] = load(from + i * row + j * in.channels + c) * scale; });
      auto terms = S::input(column);
      each<S::TERMS>([&](auto i) { half[i][j] = terms[i]; });
    });
    each<S::TERMS>([&](auto i) {
      auto terms = S::input(half[i]);
      each<S::TERMS>([&](auto j) { store(to + (i * S::TERMS + j) * stride + c, terms[j]); });
    });
  }
}

// The values that the products of one tile make, for LANE channels.
template <class S>
inline INLINE auto untransform(const float* sums, int64_t stride) {
  std::array<std::array<floats, S::PRODUCTS>, S::MADE> half;
  each<S::PRODUCTS>([&](auto j) {
    std::array<floats, S::PRODUCTS> column;
    each<S::PRODUCTS>([&](auto i) { column[i] = load(sums + (i * S::PRODUCTS + j) * stride); });
    auto made = S::output(column);
    each<S::MADE>([&](auto i) { half[i][j] = made[i]; });
  });
  std::array<std::array<floats, S::MADE>, S::MADE> made;
  each<S::MADE>([&](auto i) { made[i] = S::output(half[i]); });
  return made;
}

// Styles that scale what goes in, (N, C) or one row for all, and the demodulation that follows from them, if any.
struct Modulation {
  const float* styles;
  int64_t image;
  float* scale = nullptr;  // (N, O), to be filled while weights are packed
};

// A convolution by scheme S. Small weights are packed at once, and each thread takes its bands of tiles through all of
// them. Of large ones each thread packs block by block, and takes all tiles through it before the next.
template <class S, class T>
class Convolution {
 public:
  // For tilings of up to `most` tiles.
  Convolution(const Plane<T>& in, const Kernels& kernels, const Modulation& modulation, int64_t most, Room& room)
      : in_(in), kernels_(kernels), modulation_(modulation),
        shape_{filled(kernels.out), filled(kernels.into), S::KERNELS * S::KERNELS},
        threads_(torch::stable::get_num_threads()) {
    at_once_ = shape_.numel() * (int64_t)sizeof(T) <= WEIGHT_BYTES;
    int64_t tile = S::TERMS * S::TERMS * in.channels * (int64_t)sizeof(T), copies = at_once_ ? threads_ : 1;
    int64_t fit = std::max<int64_t>((at_once_ ? BAND_BYTES : CHUNK_BYTES) / tile / PIXELS, 1) * PIXELS;
    most_ = std::clamp<int64_t>(ceil_div(most, copies), 1, fit);
    stride_ = most_ * in.channels + 2 * CHANNELS;  // no power of two, which caches dislike
    at_a_time_ = at_once_ ? most_ : std::min(most_, STRIPS * PIXELS);
    weights_ = room.take<T>(at_once_ ? shape_.numel() : threads_ * block_share());
    energies_ = room.take<float>(modulation.scale ? threads_ * energy_share() : 0);
    terms_ = room.take<T>(copies * terms_share());
    edges_ = room.take<T>(threads_ * edge_share());
    sums_ = room.take<float>(threads_ * sums_share());
  }

  // Packs what is packed at once.
  void prepare() {
    if (!at_once_) return;
    share_out(shape_.blocks(), [&](int64_t block, int64_t thread) {
      pack_block(thread, block, weights_ + shape_.start(block));
    });
  }

  // Calls emit(patch, part) for every tile and vector of channels; it writes to the plane `emit.to`, which begins
  // at row `emit.top`. Of one part of the work, or of one channel, nothing is done twice at the same time.
  template <class Emit>
  void run(const Tiling<S>& tiling, const Emit& emit) const {
    if (at_once_) bands(tiling, emit);
    else blocks(tiling, emit);
  }

 private:
  int64_t block_share() const { return shape_.start(1); }
  int64_t energy_share() const { return shape_.into * BLOCK; }
  int64_t terms_share() const { return S::TERMS * S::TERMS * stride_; }
  int64_t edge_share() const { return S::READS * S::READS * in_.channels; }
  int64_t sums_share() const { return S::PRODUCTS * S::PRODUCTS * (at_a_time_ | 1) * BLOCK; }

  void pack_block(int64_t thread, int64_t block, T* to) const {
    float* energy = modulation_.scale ? energies_ + thread * energy_share() : nullptr;
    pack<S, 3>(kernels_, shape_, block, to, nullptr, energy);
    if (energy) demodulate(shape_, block, energy, modulation_.styles, in_.images, modulation_.scale);
  }

  template <class Emit>
  void bands(const Tiling<S>& tiling, const Emit& emit) const {
    int64_t tiles = tiling.tiles(), bands = ceil_div(tiles, most_), parts = std::min(bands, parts_of_sums());
    share_out(parts, [&](int64_t part, int64_t thread) {
      T* terms = terms_ + thread * terms_share();
      for (int64_t band = part * bands / parts; band < (part + 1) * bands / parts; band++) {
        int64_t first = band * tiles / bands, count = (band + 1) * tiles / bands - first;
        transform_tiles(tiling, first, count, thread, terms);
        for (int64_t block = 0; block < shape_.blocks(); block++) {
          multiply(tiling, first, count, terms, block, weights_ + shape_.start(block), thread, part, emit);
        }
      }
    });
  }

  template <class Emit>
  void blocks(const Tiling<S>& tiling, const Emit& emit) const {
    int64_t tiles = tiling.tiles(), chunks = ceil_div(tiles, most_);
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
      int64_t from = chunk * tiles / chunks, to = (chunk + 1) * tiles / chunks;
      share_out(to - from, [&](int64_t i, int64_t thread) {
        transform_tiles(tiling, from + i, 1, thread, terms_ + i * in_.channels);
      });
      share_out(shape_.blocks(), [&](int64_t block, int64_t thread) {
        T* weights = weights_ + thread * block_share();
        pack_block(thread, block, weights);
        int64_t parts = ceil_div(to - from, at_a_time_);
        for (int64_t part = 0; part < parts; part++) {
          int64_t skip = part * (to - from) / parts, count = (part + 1) * (to - from) / parts - skip;
          multiply(tiling, from + skip, count, terms_ + skip * in_.channels, block, weights, thread, 0, emit);
        }
      });
    }
  }

  void transform_tiles(const Tiling<S>& tiling, int64_t first, int64_t count, int64_t thread, T* to) const {
    tiling.visit(first, count, [&](int64_t i, int64_t n, int64_t y, int64_t x) {
      const float* style = modulation_.styles + n * modulation_.image;
      constexpr int64_t SEEN = S::READS - S::STEP - S::PAD;  // by the tiles before
      expect<S::STEP, false>(in_, n, y * S::STEP + SEEN, (x + AHEAD) * S::STEP + SEEN, 0, in_.channels);
      transform<S>(in_, n, y, x, style, edges_ + thread * edge_share(), to + i * in_.channels, stride_);
    });
  }

  // Transformed tiles times one block, and what they make.
  template <class Emit>
  void multiply(const Tiling<S>& tiling, int64_t first, int64_t count, const T* terms, int64_t block, const T* weights,
                int64_t thread, int64_t part, const Emit& emit) const {
    int64_t wide = shape_.width(block), stride = (count | 1) * wide;
    float* sums = sums_ + thread * sums_share();
    const Emit sink = emit;  // where no store can change it
    constexpr int PRODUCTS = S::PRODUCTS * S::PRODUCTS;
    auto factor = [&](int product) {  // the last strip looks beyond the last product
      int i = product % PRODUCTS / S::PRODUCTS, j = product % S::PRODUCTS;
      return terms + (S::term(i) * S::TERMS + S::term(j)) * stride_;
    };
    for (int product = 0; product < PRODUCTS; product++) {
      int i = product / S::PRODUCTS, j = product % S::PRODUCTS;
      const T* b = weights + (S::kernel(i) * S::KERNELS + S::kernel(j)) * shape_.factor_stride(block);
      const T* a = factor(product);
      float* to = sums + product * stride;
      tiling.split(first, count, [&](const Part& part, int64_t begin, int64_t end) {
        if (i >= part.down || j >= part.across) return (void)std::fill(to + begin * wide, to + end * wide, 0.0f);
        int64_t strips = ceil_div(end - begin, PIXELS);
        for (int64_t strip = 0; strip < strips; strip++) {
          int64_t left = begin + strip * (end - begin) / strips, right = begin + (strip + 1) * (end - begin) / strips;
          const T* next = right < count ? a + right * in_.channels : factor(product + 1);
          const T* pixels = a + left * in_.channels;
          tile_for<T>(right - left, wide)(pixels, in_.channels, in_.channels, b, to + left * wide, next);
        }
      });
    }
    tiling.visit(first, count, [&](int64_t i, int64_t n, int64_t y, int64_t x) INLINE {
      expect<S::MADE, true>(sink.to, n, y * S::MADE - sink.top, (x + AHEAD) * S::MADE, block * BLOCK, wide);
      for (int64_t o = 0; o < wide; o += LANE) {
        sink(Patch<S>{n, y * S::MADE, x * S::MADE, block * BLOCK + o, untransform<S>(sums + i * wide + o, stride)},
             part);
      }
    });
  }

  Plane<T> in_;
  Kernels kernels_;
  Modulation modulation_;
  Weight shape_;
  int64_t threads_, most_, stride_, at_a_time_;
  bool at_once_;
  T *weights_, *terms_, *edges_;
  float *energies_, *sums_;
};

}  // namespace histoxplain
