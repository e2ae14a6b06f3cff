// A layer of StyleGAN2's generator for inference: modulated convolution, noise, bias and activation in one.
#include "finish.h"
#include "modulation.h"
#include "winograd.h"

namespace histoxplain {
namespace {

constexpr int64_t WIDE_BYTES = 3 << 19;  // of the plane of twice the size, before it is filtered

// Room in the caller's workspace, of the size that `room_for` says.
template <class T>
struct Room {
  T* next;
  T* end;
  explicit Room(const Tensor& workspace)
      : next(write<T>(workspace)), end(next + workspace.numel() * workspace.element_size() / sizeof(T)) {}
  T* take(int64_t count) {
    T* start = next;
    next += ceil_div(count, 64) * 64;
    STD_TORCH_CHECK(next <= end, "`workspace` is too small");
    return start;
  }
};

Weight shape_of(const Tensor& weight) { return {weight.size(0), weight.size(1), weight.size(2)}; }

// Rows of the plane of twice the size that are convolved at a time, in fours.
template <class T>
int64_t wide_rows(const Plane<T>& in, const Weight& shape) {
  int64_t bytes = in.images * (2 * in.width + 3) * shape.out * (int64_t)sizeof(T);
  int64_t fit = std::max<int64_t>(WIDE_BYTES / std::max<int64_t>(bytes, 1), 32) / 4 * 4;
  return std::min(fit, ceil_div(2 * in.height, 4) * 4);
}

// A part of that plane, between borders: rows, one more at the end of the image, and three kept from before.
template <class T>
Plane<T> wide_plane(const Plane<T>& in, const Weight& shape) {
  return {nullptr, in.images, wide_rows(in, shape) + 5, 2 * in.width + 1, shape.out};
}

using Taps3x3 = TapByTap<3>;

// Calls f with the scheme that weights are packed for.
template <class F>
void by_scheme(const Weight& shape, bool up, F&& f) {
  if (shape.taps == 16 && up) return f(Doubling{});
  if (shape.taps == 16) return f(Twos{});
  if (shape.taps == 36 && !up) return f(Fours{});
  STD_TORCH_CHECK(shape.taps == 9, "`weight` is packed for another kind of layer");
  f(Taps3x3{});
}

template <class T>
int64_t room_for(const Plane<T>& in, const Weight& shape, bool up) {
  if (shape.taps == 1) return in.images * shape.numel() + 64;
  int64_t room = up ? in.images * wide_plane(in, shape).image() + 64 : 0;
  by_scheme(shape, up, [&](auto scheme) {
    using S = decltype(scheme);
    if constexpr (std::is_same_v<S, Taps3x3>) {
      room += in.images * (folds(in, shape) ? shape.numel() : in.image()) + 64;
    } else {
      int64_t rows = up ? wide_rows(in, shape) + 1 : in.height, width = up ? 2 * in.width + 1 : in.width;
      room += Tiling<S, T>(in, width, 0, ceil_div(rows, S::MADE)).room() + 64;
    }
  });
  return room;
}

// Finishes what is convolved, into the result.
template <class T>
struct Finished {
  Plane<T> to;
  Finishing finishing;

  void operator()(const Strip& strip) const {
    const float* noise = finishing.row(strip.n, strip.y) + strip.x;
    for (int64_t i = 0; i < strip.width; i += LANE) {
      Finish finish = finishing.at(strip.n, strip.channel + i);
      T* p = to.at(strip.n, strip.y, strip.x) + strip.channel + i;
      for (int64_t j = 0; j < strip.pixels; j++, p += to.channels) store(p, finish(strip.at(j, i), noise[j]));
    }
  }

  template <class S>
  void operator()(const Patch<S>& patch) const {
    Finish finish = finishing.at(patch.n, patch.channel);
    const float* noise = finishing.row(patch.n, patch.y) + patch.x;
    T* p = to.at(patch.n, patch.y, patch.x) + patch.channel;
    patch.visit(to.height, to.width, [&](int64_t i, int64_t j, floats value) {
      store(p + i * to.row() + j * to.channels, finish(value, noise[i * finishing.noise_row + j]));
    });
  }
};

// Keeps what is convolved, in a plane whose first row is row `top` of the whole.
template <class T>
struct Kept {
  Plane<T> to;
  int64_t top, bottom;

  void operator()(const Strip& strip) const {
    T* p = to.at(strip.n, strip.y - top, strip.x) + strip.channel;
    for (int64_t j = 0; j < strip.pixels; j++, p += strip.step * to.channels) {
      for (int64_t i = 0; i < strip.width; i += LANE) store(p + i, strip.at(j, i));
    }
  }

  template <class S>
  void operator()(const Patch<S>& patch) const {
    T* p = to.at(patch.n, patch.y - top, patch.x) + patch.channel;
    patch.visit(bottom, to.width, [&](int64_t i, int64_t j, floats value) {
      store(p + i * to.row() + j * to.channels, value);
    });
  }
};

// The input of a layer and its weights, as scheme S multiplies them.
template <class S, class T>
struct Factors {
  Plane<T> in;
  Weight shape;
  const T* w;
  const float* style;
  T* scratch;

  Factors(const Plane<T>& in_, const Weight& shape_, const T* w_, const float* style_, int64_t height, int64_t width,
          Room<T>& room)
      : in(in_), shape(shape_), w(w_), style(style_),
        scratch(room.take(Tiling<S, T>(in, width, 0, ceil_div(height, S::MADE)).room())) {}

  template <class Sink>
  void same(const Sink& sink) const {
    tiles(0, in.height, in.width, sink);
  }

  // Rows `from`, a multiple of four, to `to` of the plane of twice the size.
  template <class Sink>
  void twice(int64_t from, int64_t to, const Sink& sink) const {
    tiles(from, to, 2 * in.width + 1, sink);
  }

 private:
  template <class Sink>
  void tiles(int64_t from, int64_t to, int64_t width, const Sink& sink) const {
    Tiling<S, T> tiling(in, width, from / S::MADE, ceil_div(to, S::MADE));
    convolve_tiles(in, shape, w, style, in.channels, tiling, scratch, sink);
  }
};

// The style scales whichever is smaller, activations or weights.
template <class T>
struct Factors<Taps3x3, T> {
  Plane<T> in;
  Weight shape;
  const T* w;
  int64_t weights_image = 0;

  Factors(const Plane<T>& in_, const Weight& shape_, const T* w_, const float* style, int64_t, int64_t, Room<T>& room)
      : in(in_), shape(shape_), w(w_) {
    if (folds(in, shape)) {
      T* folded = room.take(in.images * shape.numel());
      fold(w, shape, in.images, style, folded);
      w = folded, weights_image = shape.numel();
    } else {
      in.data = room.take(in.images * in.image());
      modulate(in_, style, in);
    }
  }

  template <class Sink>
  void same(const Sink& sink) const {
    convolve(in, shape, w, weights_image, same_size(in, 3), sink);
  }

  template <class Sink>
  void twice(int64_t from, int64_t to, const Sink& sink) const {
    convolve(in, shape, w, weights_image, twice_the_size(in, from, to), sink);
  }
};

// The plane of twice the size exists a part at a time, which stays in the caches until it is filtered. A row of the
// result needs the row above it and the two below: a row of the border at the top, and one at the bottom.
template <class T, class Multiplied>
void run_twice(const Multiplied& factors, Plane<T> wide, const Plane<T>& to, const float* f,
               const Finishing& finishing) {
  int64_t rows = wide.height - 5, total = to.height + 1;
  clear(wide);
  for (int64_t done = 0, have = 0; done < to.height;) {
    int64_t top = done - 1, until = have + rows + 1 >= total ? total : have + rows;
    factors.twice(have, until, Kept<T>{wide, top, until});
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

template <class T>
void run_layer(const Tensor& x, const Tensor& weight, const Tensor& energy, const Tensor& styles,
               const std::optional<Tensor>& noise, const Tensor& bias, const std::optional<Tensor>& f, double alpha,
               double gain, double clamp, const Tensor& workspace, const Tensor& out) {
  Plane<T> in = plane_of<T>(x), to = plane_of<T>(out);
  clear_border(to);
  Weight shape = shape_of(weight);
  Room<T> room(workspace);
  const float* style = read<float>(styles);
  std::vector<float> scale = demodulation(read<float>(energy), style, in.images, shape);
  std::vector<float> silence(noise ? 0 : to.width);
  Finishing finishing{scale.data(), read<float>(bias), silence.data(), shape.out, 0, 0, (float)alpha, (float)gain,
                      clamp < 0 ? INFINITY : (float)clamp};
  if (noise) {
    finishing.noise = read<float>(*noise);
    finishing.noise_row = to.width;
    finishing.noise_image = noise->size(0) == 1 ? 0 : to.height * to.width;
  }
  by_scheme(shape, f.has_value(), [&](auto scheme) {
    using S = decltype(scheme);
    if (!f) {
      Factors<S, T> factors(in, shape, read<T>(weight), style, in.height, in.width, room);
      factors.same(Finished<T>{to, finishing});
    } else {
      Plane<T> wide = wide_plane(in, shape);
      wide.data = room.take(wide.images * wide.image());
      Factors<S, T> factors(in, shape, read<T>(weight), style, wide.height - 4, wide.width, room);
      run_twice(factors, wide, to, read<float>(*f), finishing);
    }
  });
}

template <class T>
void run_rgb(const Tensor& x, const Tensor& weight, const Tensor& styles, const Tensor& bias,
             const std::optional<Tensor>& image, double clamp, const Tensor& workspace, const Tensor& out) {
  Plane<T> in = plane_of<T>(x);
  Weight shape = shape_of(weight);
  Room<T> room(workspace);
  T* folded = room.take(in.images * shape.numel());
  fold(read<T>(weight), shape, in.images, read<float>(styles), folded);
  int64_t colours = out.size(1), area = in.height * in.width;
  const float* b = read<float>(bias);
  const float* below = image ? read<float>(*image) : nullptr;
  float* to = write<float>(out);
  float most = (float)clamp;
  convolve<T>(in, shape, folded, shape.numel(), same_size(in, 1), [&](const Strip& strip) {
    for (int64_t i = 0; i < std::min(strip.width, colours - strip.channel); i++) {
      int64_t k = strip.channel + i, at = (strip.n * colours + k) * area + strip.y * in.width + strip.x;
      for (int64_t j = 0; j < strip.pixels; j++) {
        float v = strip.sums[j * strip.width + i] + b[k];
        if (most >= 0) v = std::min(std::max(v, -most), most);
        to[at + j] = below ? v + below[at + j] : v;
      }
    }
  });
}

void check_plane(const char* name, const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 4 && x.is_contiguous() && x.size(3) % CHANNELS == 0, "`", name,
                  "` must be contiguous (N, H + 2, W + 2, C) with C in multiples of 16");
}

template <class F>
void by_precision(const Tensor& x, F&& f) {
  if (x.scalar_type() == ScalarType::BFloat16) return f(bfloat16{});
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "`x` must be float32 or bfloat16");
  f(float{});
}

Tensor pack_weight(Tensor weight, bool bfloat, int64_t taps, bool up) {
  Tensor w = torch::stable::contiguous(torch::stable::to(weight, ScalarType::Float));
  int64_t out = w.size(0), into = w.size(1);
  Weight shape{filled(out), filled(into), taps};
  Tensor packed = torch::stable::new_empty(w, {shape.out, shape.into, shape.taps},
                                           bfloat ? ScalarType::BFloat16 : ScalarType::Float);
  int64_t area = w.size(2) * w.size(3);
  STD_TORCH_CHECK(area == 9 || area == 1, "`weight` must be (O, I, 3, 3) or (O, I, 1, 1)");
  Kernels kernels{read<float>(w), out, into, into * area, area};
  by_precision(packed, [&](auto kind) {
    using T = decltype(kind);
    if (area == 1) return pack<TapByTap<1>, 1>(kernels, shape, write<T>(packed));
    by_scheme(shape, up, [&](auto scheme) { pack<decltype(scheme), 3>(kernels, shape, write<T>(packed)); });
  });
  return packed;
}

void synthesis_layer(Tensor x, Tensor weight, Tensor energy, Tensor styles, std::optional<Tensor> noise, Tensor bias,
                     std::optional<Tensor> f, double alpha, double gain, double clamp, Tensor workspace, Tensor out) {
  check_plane("x", x);
  check_plane("out", out);
  int64_t up = f ? 2 : 1;
  Weight shape = shape_of(weight);
  STD_TORCH_CHECK(out.size(0) == x.size(0) && out.size(1) == (x.size(1) - 2) * up + 2 &&
                      out.size(2) == (x.size(2) - 2) * up + 2 && out.size(3) == shape.out && x.size(3) == shape.into,
                  "`out` or `weight` has the wrong shape");
  by_precision(x, [&](auto kind) {
    run_layer<decltype(kind)>(x, weight, energy, styles, noise, bias, f, alpha, gain, clamp, workspace, out);
  });
}

int64_t synthesis_room(Tensor x, Tensor weight, bool up) {
  int64_t room = 0;
  by_precision(x, [&](auto kind) { room = room_for(plane_of<decltype(kind)>(x), shape_of(weight), up); });
  return room;
}

void synthesis_rgb(Tensor x, Tensor weight, Tensor styles, Tensor bias, std::optional<Tensor> image, double clamp,
                   Tensor workspace, Tensor out) {
  check_plane("x", x);
  by_precision(x, [&](auto kind) {
    run_rgb<decltype(kind)>(x, weight, styles, bias, image, clamp, workspace, out);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def("pack_weight(Tensor weight, bool bfloat, int taps, bool up) -> Tensor");
  m.def(
      "synthesis_layer(Tensor x, Tensor weight, Tensor energy, Tensor styles, Tensor? noise, Tensor bias, Tensor? f, "
      "float alpha, float gain, float clamp, Tensor(a!) workspace, Tensor(b!) out) -> ()");
  m.def("synthesis_room(Tensor x, Tensor weight, bool up) -> int");
  m.def(
      "synthesis_rgb(Tensor x, Tensor weight, Tensor styles, Tensor bias, Tensor? image, float clamp, "
      "Tensor(a!) workspace, Tensor(b!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("pack_weight", TORCH_BOX(&pack_weight));
  m.impl("synthesis_layer", TORCH_BOX(&synthesis_layer));
  m.impl("synthesis_room", TORCH_BOX(&synthesis_room));
  m.impl("synthesis_rgb", TORCH_BOX(&synthesis_rgb));
}

}  // namespace histoxplain
