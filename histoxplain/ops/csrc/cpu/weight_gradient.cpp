// The gradient of a convolution's weight, several times faster than the general one: a matrix product over pixels for
// every tap, in registers, from copies that are laid out for it.
//
// bfloat16 is multiplied in pairs where the CPU does so. The pairs are the same pixel of two images, so that no tap
// needs a copy of its own.
#include <vector>

#include "accumulate.h"
#include "layout.h"
#include "tiled_weight_gradient.h"

namespace histoxplain {
namespace {

constexpr int64_t SUMS_BYTES = 1 << 20;  // for which parts of the work are made smaller

// Rows of images (N, H, W, C) as (blocks of channels, rows, W + 2 pad, channels of a block), with zeros around the image
// and beyond its channels; pairs of images where pairs are multiplied.
template <class T, int64_t BLOCK>
class Packed {
 public:
  using F = typename Factor<T>::type;

  Packed(const Tensor& x, int64_t pad_, int64_t most_rows)
      : groups(ceil_div(x.size(1), BLOCK)), width(x.size(3) + 2 * pad_), data(read<T>(x)), n(x.size(0)),
        channels(x.size(1)), height(x.size(2)), inner(x.size(3)), pad(pad_), rows(most_rows),
        memory(groups * rows * width * BLOCK) {}

  // Takes rows first, first + 1, ... of an image; the images of one index are multiplied together.
  void take(int64_t image, int64_t first, int64_t count) {
    for (int64_t y = 0; y < count; y++) {
      for (int64_t group = 0; group < groups; group++) fill(image * PAIR<T>, first + y - pad, y, group);
    }
  }

  const F* at(int64_t group, int64_t row) const { return memory.data() + (group * rows + row) * width * BLOCK; }

  int64_t groups, width;

 private:
  void fill(int64_t image, int64_t y, int64_t row, int64_t group) {
    F* to = const_cast<F*>(at(group, row));
    bool inside = y >= 0 && y < height;
    int64_t used = std::min(BLOCK, channels - group * BLOCK), next = image + 1 < n ? height * inner * channels : 0;
    if (!inside || used < BLOCK) std::memset(to, 0, width * BLOCK * sizeof(F));
    if (!inside) return;
    const T* from = data + (image * height + y) * inner * channels + group * BLOCK;
    to += pad * BLOCK;
    for (int64_t i = 0; i < inner; i++, from += channels, to += BLOCK) {
      if (used == BLOCK && (next || PAIR<T> == 1)) {
        for (int64_t k = 0; k < BLOCK; k++) to[k] = factor(from + k, next);
      } else {
        for (int64_t k = 0; k < used; k++) to[k] = next ? factor(from + k, next) : single(from + k);
      }
    }
  }

  static F factor(const T* p, int64_t next) {
    if constexpr (PAIR<T> == 2) return uint32_t(p[0].bits) | uint32_t(p[next].bits) << 16;
    else return single(p);
  }

  static F single(const T* p) {
    if constexpr (PAIR<T> == 2) return p->bits;
    else if constexpr (std::is_same_v<T, bfloat16>) return load(p, 1)[0];
    else return *p;
  }

  const T* data;
  int64_t n, channels, height, inner, pad, rows;
  std::vector<F> memory;
};

template <class T>
void weight_gradient(const Tensor& x, const Tensor& dy, const Tensor& dw, int64_t stride, int64_t padding) {
  using S = scalar_of<T>;
  int64_t out = dw.size(0), in = dw.size(1), tall = dw.size(2), broad = dw.size(3), taps = tall * broad;
  int64_t height = dy.size(2), width = dy.size(3), images = ceil_div(dy.size(0), PAIR<T>);
  int64_t band = std::clamp<int64_t>(128 / width, 1, height);              // rows of dy that stay in the first cache
  int64_t chunk = std::clamp<int64_t>(512 / (width * band), 1, 8) * band;  // and in the second
  int64_t chunks = ceil_div(height, chunk), work = images * chunks;
  int64_t block = taps * IN * OUT<T>, tasks = ceil_div(out, OUT<T>) * ceil_div(in, IN), all = tasks * block;
  int64_t most = std::max<int64_t>(torch::stable::get_num_threads(), SUMS_BYTES / (all * sizeof(S)));
  int64_t parts = std::min({work, most, parts_of_sums()});
  std::vector<S> sums(parts * all);  // of each part, added up in their order
  share_out(parts, [&](int64_t part, int64_t) {
    Packed<T, IN> xs(x, padding, (chunk - 1) * stride + tall);
    Packed<T, OUT<T>> dys(dy, 0, chunk);
    for (int64_t item = part * work / parts; item < (part + 1) * work / parts; item++) {
      int64_t top = item % chunks * chunk, rows = std::min(chunk, height - top);
      xs.take(item / chunks, top * stride, (rows - 1) * stride + tall);
      dys.take(item / chunks, top, rows);
      for (int64_t task = 0; task < tasks; task++) {
        S* to = &sums[part * all + task * block];
        for (int64_t y = 0; y < rows; y += band) {
          for (int64_t tap = 0; tap < taps; tap++) {
            const auto* start = xs.at(task % xs.groups, y * stride + tap / broad) + tap % broad * IN;
            accumulate<T>(start, dys.at(task / xs.groups, y), to + tap * IN * OUT<T>, std::min(band, rows - y), width,
                          stride * xs.width * IN, stride * IN);
          }
        }
      }
    }
  });
  S* total = write<S>(dw);
  share_range(tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * block; i < end * block; i++) {
      int64_t o = i / block / ceil_div(in, IN) * OUT<T> + i % OUT<T>;
      int64_t channel = i / block % ceil_div(in, IN) * IN + i / OUT<T> % IN;
      if (o >= out || channel >= in) continue;
      S& to = total[(o * in + channel) * taps + i % block / (IN * OUT<T>)];
      to = sums[i];
      for (int64_t part = 1; part < parts; part++) to += sums[part * all + i];
    }
  });
}

// What went in is of one type with what comes back, both channels last.
void gradient_of_weight(const Tensor& x, const Tensor& dy, const Tensor& dw, int64_t stride, int64_t padding) {
  by_type(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    if constexpr (!std::is_same_v<T, double>) {
      bool same = stride == 1 && padding == 1, half = stride == 2 && padding == 0;
      if (same && fits_tiles(x, dy, dw)) return tiled_weight_gradient<Fours, T>(x, std::nullopt, dy, dw);
      if (half && fits_tiles(x, dy, dw)) return tiled_weight_gradient<HalvingFours, T>(x, std::nullopt, dy, dw);
    }
    weight_gradient<T>(x, dy, dw, stride, padding);
  });
}

Tensor convolution_weight_gradient(Tensor x, Tensor dy, std::vector<int64_t> kernel, int64_t stride, int64_t padding) {
  if (x.scalar_type() == ScalarType::Half) x = torch::stable::to(x, ScalarType::Float);
  x = torch::stable::contiguous(x, MemoryFormat::ChannelsLast);
  dy = torch::stable::contiguous(torch::stable::to(dy, x.scalar_type()), MemoryFormat::ChannelsLast);
  auto type = compute_type(x.scalar_type());
  int64_t into = x.size(1), whole = into / CHANNELS * CHANNELS;
  auto dw = torch::stable::empty({dy.size(1), into, kernel[0], kernel[1]}, type, std::nullopt, x.device());
  if (x.numel() == 0 || dy.numel() == 0) return torch::stable::fill_(dw, 0);
  if (whole == 0 || whole == into) {
    gradient_of_weight(x, dy, dw, stride, padding);
    return dw;
  }
  for (auto [first, count] : {std::pair(int64_t(0), whole), std::pair(whole, into - whole)}) {  // as in 512 + 1 channels
    Tensor some = torch::stable::contiguous(torch::stable::narrow(x, 1, first, count), MemoryFormat::ChannelsLast);
    Tensor part = torch::stable::empty({dy.size(1), count, kernel[0], kernel[1]}, type, std::nullopt, x.device());
    gradient_of_weight(some, dy, part, stride, padding);
    Tensor place = torch::stable::narrow(dw, 1, first, count);
    torch::stable::copy_(place, part);
  }
  return dw;
}

// Of a 3x3 convolution that keeps the size, of `x` times `style`; both images channels last.
void styled_weight_gradient(Tensor x, Tensor style, Tensor dy, Tensor dw) {
  STD_TORCH_CHECK(is_channels_last(x) && is_channels_last(dy) && x.scalar_type() == dy.scalar_type() &&
                      fits_tiles(x, dy, dw),
                  "`x` and `dy` must be channels last, of one type, with channels in multiples of 16");
  style = *parameter(style, ScalarType::Float);
  by_precision(x, [&](auto element) { tiled_weight_gradient<Fours, decltype(element)>(x, style, dy, dw); });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def("styled_weight_gradient(Tensor x, Tensor style, Tensor dy, Tensor(a!) dw) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("convolution_weight_gradient", TORCH_BOX(&convolution_weight_gradient));
  m.impl("styled_weight_gradient", TORCH_BOX(&styled_weight_gradient));
}

}  // namespace histoxplain
