// A layer of StyleGAN2's generator for inference: modulated convolution, noise, bias and activation in one.
// The style scales whichever is smaller, activations or weights.
#include <cmath>

#include "convolve.h"

namespace histoxplain {
namespace {

constexpr int64_t WIDE_BYTES = 3 << 19;  // of the plane of twice the size, before it is filtered

// What happens to sums of products before they are stored, for LANE channels of one image.
struct Finish {
  floats scale, bias;
  float alpha, gain, clamp;

  floats operator()(floats v, float noise) const {
    v = v * scale + (bias + noise);
    floats bent = v * alpha;
    v = (v > bent ? v : bent) * gain;
    if (clamp >= 0) {
      v = v < clamp ? v : splat<floats>(clamp);
      v = v > -clamp ? v : splat<floats>(-clamp);
    }
    return v;
  }
};

struct Finishing {
  const float* scale;  // (N, C)
  const float* bias;   // (C)
  const float* noise;  // (N or 1, H, W), or none
  int64_t channels, width, noise_image;
  float alpha, gain, clamp;

  Finish at(int64_t n, int64_t o) const { return {load(scale + n * channels + o), load(bias + o), alpha, gain, clamp}; }
  const float* noise_row(int64_t n, int64_t y) const { return noise ? noise + n * noise_image + y * width : nullptr; }
};

// Four taps down and across `in`, which is one pixel wider than `out` and holds what rows `from` to `to` of it need, one
// row above them and two below; then the finish. A stretch of the row stays in the nearest cache while vector after
// vector of channels slides over it.
template <class T>
void filter(const Plane<T>& in, const Plane<T>& out, int64_t from, int64_t to, const float* f,
            const Finishing& finishing) {
  constexpr int64_t STRETCH = 32;
  const float f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
  torch::stable::parallel_for(0, out.images * (to - from), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      int64_t n = task / (to - from), i = task % (to - from), y = from + i, row = in.row(), step = in.channels;
      const float* noise = finishing.noise_row(n, y);
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
            store(pixel, finish(a * f3 + b * f2 + c * f1 + d * f0, noise ? noise[left + x] : 0));
            a = b, b = c, c = d;
          }
        }
      }
    }
  });
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
std::vector<float> demodulation(const float* energy, const float* styles, int64_t images, const Weight& shape) {
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

template <class T>
bool folds(const Plane<T>& in, const Weight& shape) {
  return in.height * in.width > shape.taps * shape.out;
}

// Rows of the result that are convolved and filtered at a time; an even number.
template <class T>
int64_t wide_rows(const Plane<T>& in, const Weight& shape) {
  int64_t bytes = in.images * (2 * in.width + 3) * shape.out * (int64_t)sizeof(T);
  return std::min(2 * in.height, std::max<int64_t>(WIDE_BYTES / std::max<int64_t>(bytes, 1), 32) / 2 * 2);
}

template <class T>
int64_t room_for(const Plane<T>& in, const Weight& shape, bool up) {
  int64_t scaled = in.images * (folds(in, shape) ? shape.numel() : in.image());
  int64_t wide = up ? in.images * (wide_rows<T>(in, shape) + 5) * (2 * in.width + 3) * shape.out : 0;
  return scaled + wide + 128;
}

template <class T>
void run_layer(const Tensor& x, const Tensor& weight, const Tensor& energy, const Tensor& styles,
               const std::optional<Tensor>& noise, const Tensor& bias, const std::optional<Tensor>& f, double alpha,
               double gain, double clamp, const Tensor& workspace, const Tensor& out) {
  Plane<T> in = plane_of<T>(x), to = plane_of<T>(out);
  clear_border(to);
  Weight shape = shape_of(weight);
  Room<T> room(workspace);
  const T* w = read<T>(weight);
  const float* style = read<float>(styles);
  std::vector<float> scale = demodulation(read<float>(energy), style, in.images, shape);
  Finishing finishing{scale.data(), read<float>(bias), nullptr,      shape.out, to.width, 0,
                      (float)alpha, (float)gain,       (float)clamp};
  if (noise) {
    finishing.noise = read<float>(*noise);
    finishing.noise_image = noise->size(0) == 1 ? 0 : to.height * to.width;
  }
  int64_t weights_image = 0;
  if (folds(in, shape)) {
    T* folded = room.take(in.images * shape.numel());
    fold(w, shape, in.images, style, folded);
    w = folded, weights_image = shape.numel();
  } else {
    Plane<T> scaled = in;
    scaled.data = room.take(in.images * in.image());
    modulate(in, style, scaled);
    in = scaled;
  }
  if (!f) {
    convolve<T>(in, shape, w, weights_image, same_size(in, 3), [&](const Strip& strip) {
      const float* noise = finishing.noise_row(strip.n, strip.y);
      for (int64_t i = 0; i < strip.width; i += LANE) {
        Finish finish = finishing.at(strip.n, strip.channel + i);
        T* p = to.at(strip.n, strip.y, strip.x) + strip.channel + i;
        for (int64_t j = 0; j < strip.pixels; j++, p += to.channels) {
          store(p, finish(strip.at(j, i), noise ? noise[strip.x + j] : 0));
        }
      }
    });
    return;
  }
  // The plane of twice the size exists a band at a time, which stays in the caches until it is filtered. Its first row is
  // the one above the band: a row of the border at the top, and two more than the result has at the bottom.
  int64_t rows = wide_rows<T>(in, shape);
  Plane<T> wide{nullptr, in.images, rows + 3, 2 * in.width + 1, shape.out};
  wide.data = room.take(in.images * wide.image());
  for (int64_t top = 0; top < to.height; top += rows) {
    int64_t bottom = std::min(top + rows, to.height), from = std::max<int64_t>(top - 1, 0);
    int64_t until = std::min(bottom + 2, 2 * in.height + 1);
    if (top == 0 || bottom == to.height) clear(wide);
    convolve<T>(in, shape, w, weights_image, twice_the_size(in, from, until), [&](const Strip& strip) {
      T* p = wide.at(strip.n, strip.y - top + 1, strip.x) + strip.channel;
      for (int64_t j = 0; j < strip.pixels; j++, p += strip.step * shape.out) {
        for (int64_t i = 0; i < strip.width; i += LANE) store(p + i, strip.at(j, i));
      }
    });
    filter(wide, to, top, bottom, read<float>(*f), finishing);
  }
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

template <class T>
void pack(const float* w, int64_t out, int64_t into, Weight shape, T* packed) {
  torch::stable::parallel_for(0, shape.blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      T* p = packed + shape.start(block);
      int64_t wide = shape.width(block);
      for (int64_t t = 0; t < shape.taps; t++) {
        for (int64_t c = 0; c < shape.into; c += PAIR<T>) {
          for (int64_t i = 0; i < wide * PAIR<T>; i++) {
            int64_t o = block * BLOCK + i / PAIR<T>, from = c + i % PAIR<T>;
            float v = o < out && from < into ? w[(o * into + from) * shape.taps + t] : 0;
            store(p++, splat<floats>(v), 1);
          }
        }
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

Tensor pack_weight(Tensor weight, bool bfloat) {
  Tensor w = torch::stable::contiguous(torch::stable::to(weight, ScalarType::Float));
  int64_t out = w.size(0), into = w.size(1);
  Weight shape{filled(out), filled(into), w.size(2) * w.size(3)};
  Tensor packed = torch::stable::new_empty(w, {shape.out, shape.into, shape.taps},
                                           bfloat ? ScalarType::BFloat16 : ScalarType::Float);
  by_precision(packed, [&](auto kind) { pack(read<float>(w), out, into, shape, write<decltype(kind)>(packed)); });
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
  m.def("pack_weight(Tensor weight, bool bfloat) -> Tensor");
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
