// A layer of StyleGAN2's generator for inference: modulated convolution, noise, bias and activation in one.
#include <type_traits>
#include <vector>

#include "emit.h"

namespace histoxplain {
namespace {

constexpr int64_t WIDE_BYTES = 3 << 19;  // of the plane of twice the size, before it is filtered

// Keeps what is convolved, in a plane whose first row is row `top` of the whole.
template <class T>
struct Kept {
  Plane<T> to;
  int64_t top, bottom;

  template <class S>
  INLINE void operator()(const Patch<S>& patch, int64_t) const {
    T* p = to.at(patch.n, patch.y - top, patch.x) + patch.channel;
    patch.visit(bottom, to.width, [&](int64_t i, int64_t j, floats value) INLINE {
      store(p + i * to.row() + j * to.channels, value);
    });
  }
};

// The convolution of a layer that keeps the size.
template <class S, class T>
struct Same {
  Tiling<S> tiling;
  Convolution<S, T> convolution;

  Same(const Plane<T>& in, const Kernels& kernels, const Modulation& modulation, Room& room)
      : tiling(in, in.width, 0, in.height), convolution(in, kernels, modulation, tiling.tiles(), room) {}

  void run(const Plane<T>& to, const float*, const Finishing& finishing) {
    convolution.prepare();
    convolution.run(tiling, Finished<T>{to, finishing});
  }
};

// The transposed convolution of stride two, filtered. The plane of twice the size exists a part at a time, which stays
// in the caches until it is filtered. A row of the result needs the row above it and the two below: a row of the border
// at the top, and one at the bottom.
template <class S, class T>
struct Twice {
  Plane<T> in, wide;  // a part of that plane, between borders: rows, one more at the end, three kept from before
  int64_t rows;       // that are convolved at a time, in whole tiles
  Convolution<S, T> convolution;

  Twice(const Plane<T>& in_, const Kernels& kernels, const Modulation& modulation, Room& room)
      : in(in_), wide{nullptr, in.images, 0, 2 * in.width + 1, filled(kernels.out)}, rows(rows_for(wide, in.height)),
        convolution(in, kernels, modulation, Tiling<S>(in, wide.width, 0, rows + 1).tiles(), room) {
    wide.height = rows + 5;
    wide.data = room.take<T>(wide.images * wide.image());
  }

  static int64_t rows_for(const Plane<T>& wide, int64_t height) {
    int64_t bytes = wide.images * wide.row() * (int64_t)sizeof(T);
    int64_t fit = std::max<int64_t>(WIDE_BYTES / std::max<int64_t>(bytes, 1), 32) / S::MADE * S::MADE;
    return std::min(fit, ceil_div(2 * height, S::MADE) * S::MADE);
  }

  void run(const Plane<T>& to, const float* f, const Finishing& finishing) {
    convolution.prepare();
    clear_border(wide);
    for (int64_t n = 0; n < wide.images; n++) std::fill(wide.at(n, 0, -1), wide.at(n, 1, -1), T{});  // above the first
    int64_t total = to.height + 1;
    for (int64_t done = 0, have = 0; done < to.height;) {
      int64_t top = done - 1, until = have + rows + 1 >= total ? total : have + rows;
      convolution.run(Tiling<S>(in, wide.width, have, until), Kept<T>{wide, top, until});
      int64_t ready = until == total ? to.height : until - 2;
      if (until == total) {
        for (int64_t n = 0; n < wide.images; n++) {
          std::fill(wide.at(n, total - top, -1), wide.at(n, total - top + 1, -1), T{});
        }
      }
      filter(wide, to, done, ready, f, finishing);
      for (int64_t n = 0; n < wide.images; n++) {
        std::copy(wide.at(n, ready - 1 - top, -1), wide.at(n, until - top, -1), wide.at(n, 0, -1));
      }
      done = ready, have = until;
    }
  }
};

// Calls f with the kind of layer: `tile` by `tile` pixels at a time.
template <class T, class F>
void by_kind(bool up, int64_t tile, F&& f) {
  STD_TORCH_CHECK(tile == 2 || tile == 4, "`tile` must be 2 or 4");
  if (up && tile == 2) return f(std::type_identity<Twice<Doubling, T>>{});
  if (up) return f(std::type_identity<Twice<DoublingFours, T>>{});
  if (tile == 2) return f(std::type_identity<Same<Twos, T>>{});
  f(std::type_identity<Same<Fours, T>>{});
}

template <class T>
void run_layer(const Tensor& x, const Tensor& weight, const Tensor& styles, const std::optional<Tensor>& noise,
               const Tensor& bias, const std::optional<Tensor>& f, int64_t tile, double alpha, double gain,
               double clamp, const Tensor& workspace, const Tensor& out) {
  Plane<T> in = plane_of<T>(x), to = plane_of<T>(out);
  clear_border(to);
  std::vector<float> scale(in.images * to.channels), silence(noise ? 0 : to.width);
  Finishing finishing{scale.data(), read<float>(bias), silence.data(), to.channels, 0, 0, (float)alpha, (float)gain,
                      clamp < 0 ? INFINITY : (float)clamp};
  if (noise) {
    finishing.noise = read<float>(*noise);
    finishing.noise_row = to.width;
    finishing.noise_image = noise->size(0) == 1 ? 0 : to.height * to.width;
  }
  Room room(workspace);
  Modulation modulation{read<float>(styles), in.channels, scale.data()};
  by_kind<T>(f.has_value(), tile, [&](auto kind) {
    typename decltype(kind)::type layer(in, kernels_of(weight), modulation, room);
    layer.run(to, f ? read<float>(*f) : nullptr, finishing);
  });
}

void synthesis_layer(Tensor x, Tensor weight, Tensor styles, std::optional<Tensor> noise, Tensor bias,
                     std::optional<Tensor> f, int64_t tile, double alpha, double gain, double clamp, Tensor workspace,
                     Tensor out) {
  check_plane("x", x);
  check_plane("out", out);
  int64_t up = f ? 2 : 1;
  STD_TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3, "`weight` must be (O, I, 3, 3)");
  STD_TORCH_CHECK(out.size(0) == x.size(0) && out.size(1) == (x.size(1) - 2) * up + 2 &&
                      out.size(2) == (x.size(2) - 2) * up + 2 && out.size(3) == filled(weight.size(0)) &&
                      x.size(3) == filled(weight.size(1)) && styles.size(1) == x.size(3) &&
                      bias.numel() == out.size(3),
                  "`out` or `weight` has the wrong shape");
  by_precision(x, [&](auto kind) {
    run_layer<decltype(kind)>(x, weight, styles, noise, bias, f, tile, alpha, gain, clamp, workspace, out);
  });
}

int64_t synthesis_room(Tensor x, Tensor weight, bool up, int64_t tile) {
  Room room;
  by_precision(x, [&](auto type) {
    using T = decltype(type);
    float modulated;  // so that there is room for it
    by_kind<T>(up, tile, [&](auto kind) {
      typename decltype(kind)::type(plane_of<T>(x), kernels_of(weight), Modulation{nullptr, 0, &modulated}, room);
    });
  });
  return ceil_div(room.used, x.element_size());
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "synthesis_layer(Tensor x, Tensor weight, Tensor styles, Tensor? noise, Tensor bias, Tensor? f, int tile, "
      "float alpha, float gain, float clamp, Tensor(a!) workspace, Tensor(b!) out) -> ()");
  m.def("synthesis_room(Tensor x, Tensor weight, bool up, int tile) -> int");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("synthesis_layer", TORCH_BOX(&synthesis_layer));
  m.impl("synthesis_room", TORCH_BOX(&synthesis_room));
}

}  // namespace histoxplain
