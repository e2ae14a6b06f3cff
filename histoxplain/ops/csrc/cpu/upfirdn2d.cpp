// Insert zeros, pad or crop, filter, keep every down-th sample, in one pass; inserted zeros are never multiplied.
#include "strips.h"

namespace histoxplain {
namespace {

// to[i] = sum of weight[k] * from[k][i]
template <class T>
struct Terms {
  std::vector<const T*> from;
  std::vector<scalar_of<T>> weight;

  void add(const T* p, double w) {
    from.push_back(p);
    weight.push_back(scalar_of<T>(w));
  }

  void clear() {
    from.clear();
    weight.clear();
  }

  int64_t size() const { return from.size(); }

  // COUNT is size() where it is known beforehand, else 0.
  template <int COUNT = 0>
  vector_of<T> at(int64_t i) const {
    int64_t count = COUNT ? COUNT : size();
    vector_of<T> total{};
#pragma GCC unroll 4
    for (int64_t k = 0; k < count; k++) {
      total = multiply_add(load(from[k] + i), splat<vector_of<T>>(weight[k]), total);
    }
    return total;
  }

  template <class U>
  void sum(U* to, int64_t n, int64_t shift = 0) const {
    int64_t i = 0;
    for (; i + LANES<T> <= n; i += LANES<T>) store(to + i, size() == 4 ? at<4>(i + shift) : at(i + shift));
    if (i == n) return;
    vector_of<T> total{};
    for (int64_t k = 0; k < size(); k++) total += load(from[k] + i + shift, n - i) * weight[k];
    store(to + i, total, n - i);
  }
};

// Makes rows of one plane, each first vertically into a buffer that stays in the cache, then horizontally from it.
// `unit` neighbouring elements (the channels of channels-last, else 1) are filtered alike. If it ADDS, it adds them to what
// is there, each as it would be stored.
template <class T, bool ADDS = false>
class Rows {
  using S = scalar_of<T>;
  using V = vector_of<T>;

 public:
  Rows(const Axis& y_, const Axis& x_, const std::vector<Product>& products_, int64_t unit_)
      : y(y_), x(x_), products(products_), unit(unit_), wide((x.before + x.in + x.after) * unit) {
    sums.assign(products.size() * wide, S(0));
    phases.resize(x.period);
    for (int64_t o = 0; o < x.period; o++) {
      for (size_t i = 0; i < products.size(); i++) {
        const S* zero = sums.data() + i * wide + x.before * unit;
        for (int64_t at = x.last(o) - x.reach + 1; at <= x.last(o); at++) {
          double weight = x.weight(products[i].horizontal, o, at);
          if (weight || x.reach <= 4) phases[o].add(zero + at * unit, weight);
        }
      }
    }
    for (int64_t o = 0; o < x.period; o++) advance.push_back(x.last(o + 1) - x.last(o));
    apart.resize(x.period * picked());
  }

  static bool needs_no_buffer(const Axis& x, const std::vector<Product>& products, int64_t unit) {
    return products.size() == 1 && unit % LANES<T> == 0 && x.reach <= 4;
  }

  void make(const T* plane, int64_t o, T* out) {
    if (needs_no_buffer(x, products, unit)) return through_window(plane, o, out);
    for (size_t i = 0; i < products.size(); i++) {
      choose_sources(plane, o, products[i].vertical);
      sources.sum(sums.data() + i * wide + x.before * unit, x.in * unit);
    }
    if (x.period == 1 && x.step == 1) {
      phases[0].sum(out, x.out * unit);
    } else if (unit >= LANES<T>) {
      for (int64_t to = 0; to < x.out; to++) {
        phases[to % x.period].sum(out + to * unit, unit, to / x.period * x.step * unit);
      }
    } else {
      phase_by_phase(out);
    }
  }

 private:
  void choose_sources(const T* plane, int64_t o, const std::vector<double>& filter) {
    sources.clear();
    for (int64_t at = y.last(o) - y.reach + 1; at <= y.last(o); at++) {
      double weight = y.weight(filter, o, at);
      if (at >= 0 && at < y.in && weight) sources.add(plane + at * x.in * unit, weight);
    }
  }

  // Short filters over many channels: vertical sums pass through a window of registers, and no buffer is needed.
  void through_window(const T* plane, int64_t o, T* out) {
    choose_sources(plane, o, products[0].vertical);
    if (x.reach <= 2) {
      sources.size() == 2 ? slide<2, 2>(out) : slide<2, 0>(out);
    } else {
      sources.size() == 4 ? slide<4, 4>(out) : slide<4, 0>(out);
    }
  }

  template <int REACH, int COUNT>
  void slide(T* out) const {
    int64_t c = 0;
    for (; c + 4 * LANES<T> <= unit; c += 4 * LANES<T>) slide<REACH, COUNT, 4>(out, c);
    for (; c + 2 * LANES<T> <= unit; c += 2 * LANES<T>) slide<REACH, COUNT, 2>(out, c);
    if (c < unit) slide<REACH, COUNT, 1>(out, c);
  }

  template <int REACH, int COUNT, int WIDTH>
  void slide(T* out, int64_t c) const {
    constexpr int MOST = COUNT ? COUNT : 1;
    const T* from[MOST];
    V by[MOST], window[REACH][WIDTH] = {};
    for (int k = 0; k < COUNT; k++) from[k] = sources.from[k] + c, by[k] = splat<V>(sources.weight[k]);
    const int64_t *moves = advance.data(), period = x.period, in = x.in, outs = x.out;
    std::vector<S> taps(period * REACH);  // of shorter filters, zeros come first
    for (int64_t i = 0; i < period; i++) {
      std::copy_n(phases[i].weight.data(), x.reach, &taps[(i + 1) * REACH - x.reach]);
    }
    const S* weights = taps.data();
    int64_t reached = x.last(0) - x.reach, last = x.last(0), phase = 0;
    for (int64_t o = 0; o < outs; o++) {
      for (; reached < last;) {
        reached++;
        for (int w = 0; w < WIDTH; w++) {
          for (int m = 0; m + 1 < REACH; m++) window[m][w] = window[m + 1][w];
          V total{};
          if (reached >= 0 && reached < in) {
            int64_t at = reached * unit + w * LANES<T>;
            if constexpr (COUNT == 0) total = sources.at(at + c);
            for (int k = 0; k < COUNT; k++) total = multiply_add(load(from[k] + at), by[k], total);
          }
          window[REACH - 1][w] = total;
        }
      }
      const S* weight = weights + phase * REACH;
      last += moves[phase];
      phase = phase + 1 == period ? 0 : phase + 1;
      for (int w = 0; w < WIDTH; w++) {
        V total{};
        for (int m = 0; m < REACH; m++) total = multiply_add(window[m][w], splat<V>(weight[m]), total);
        T* made = out + o * unit + c + w * LANES<T>;
        V there{};
        if constexpr (ADDS) there = load(made);
        store(made, total);
        if constexpr (ADDS) store(made, load(made) + there);
      }
    }
  }

  int64_t picked() const { return ((x.out + x.period - 1) / x.period * x.step) * unit; }

  // Few channels: every phase as whole vectors at its full rate, of which the wanted samples are picked.
  void phase_by_phase(T* out) {
    row.resize(x.out * unit);
    for (int64_t o = 0; o < x.period && o < x.out; o++) {
      int64_t count = (x.out - o + x.period - 1) / x.period, from = x.step * unit, to = x.period * unit;
      phases[o].sum(apart.data(), ((count - 1) * x.step + 1) * unit);
      const S* __restrict source = apart.data();
      S* __restrict target = row.data() + o * unit;
      for (int64_t u = 0; u < unit; u++) {
        if (from == 1 && to == 2) {
          for (int64_t t = 0; t < count; t++) target[2 * t] = source[t];
        } else if (from == 2 && to == 1) {
          for (int64_t t = 0; t < count; t++) target[t] = source[2 * t];
        } else {
          for (int64_t t = 0; t < count; t++) target[t * to + u] = source[t * from + u];
        }
      }
    }
    Terms<S> whole;
    whole.add(row.data(), 1);
    whole.sum(out, x.out * unit);
  }

  const Axis &y, &x;
  const std::vector<Product>& products;
  int64_t unit, wide;
  std::vector<S> sums, apart, row;
  std::vector<int64_t> advance;  // from the last input of each phase's outputs to the next one's
  std::vector<Terms<S>> phases;
  Terms<T> sources;
};

template <class T>
void in_strips(const Tensor& x, const Filter& filter, const Tensor& out) {
  Strips<T> strips(filter);
  int64_t each = filter.strips(), grain = std::max<int64_t>(1, GRAIN / (STRIP * filter.result_row()));
  share_range(x.size(0) * each, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t image = i / each;
      T* to = write<T>(out) + image * filter.y.out * filter.result_row();
      strips.make(read<T>(x) + image * filter.y.in * filter.row(), i % each, to);
    }
  });
}

// Everything that a call says beside the images.
struct Call {
  Axis y, x;
  std::vector<Product> terms;
  int64_t unit;

  Call(const Tensor& image, const Tensor& f, const std::vector<int64_t>& up, const std::vector<int64_t>& down,
       const std::vector<int64_t>& padding, bool flip, double gain)
      : y(image.size(2), f.size(0), up[1], down[1], padding[2], padding[3]),
        x(image.size(3), f.size(f.dim() - 1), up[0], down[0], padding[0], padding[1]),
        terms(products(f, flip, gain)),
        unit(is_channels_last(image) ? image.size(1) : 1) {}
};

template <class T, bool ADDS = false>
void by_rows(const Tensor& image, const Call& call, const Tensor& out) {
  int64_t rows = out.numel() / (call.x.out * call.unit), row = call.x.out * call.unit;
  int64_t plane = call.y.in * call.x.in * call.unit;
  share_range(rows, std::max<int64_t>(1, GRAIN / row), [&](int64_t begin, int64_t end) {
    Rows<T, ADDS> make(call.y, call.x, call.terms, call.unit);
    for (int64_t i = begin; i < end; i++) {
      make.make(read<T>(image) + i / call.y.out * plane, i % call.y.out, write<T>(out) + i * row);
    }
  });
}

Tensor upfirdn2d(Tensor x, Tensor f, std::vector<int64_t> up, std::vector<int64_t> down, std::vector<int64_t> padding,
                 bool flip, double gain) {
  if (x.scalar_type() == ScalarType::Half) {
    return through_float(x, [&](Tensor wide) { return upfirdn2d(wide, f, up, down, padding, flip, gain); });
  }
  x = dense(x);
  Call call(x, f, up, down, padding, flip, gain);
  auto format = is_channels_last(x) ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  auto out = torch::stable::empty({x.size(0), x.size(1), call.y.out, call.x.out}, x.scalar_type(), std::nullopt,
                                  x.device(), std::nullopt, format);
  if (out.numel() == 0) return out;
  if (up == down && up == std::vector<int64_t>{1, 1}) {
    Filter filter(x, f, padding, flip, gain);
    if (filter.fits_strips(x)) {
      by_type(x.scalar_type(), [&](auto element) { in_strips<decltype(element)>(x, filter, out); });
      return out;
    }
  }
  by_type(x.scalar_type(), [&](auto element) { by_rows<decltype(element)>(x, call, out); });
  return out;
}

// y += upfirdn2d(x, ...), bit for bit, where y lies as that would.
void upfirdn2d_add(Tensor y, Tensor x, Tensor f, std::vector<int64_t> up, std::vector<int64_t> down,
                   std::vector<int64_t> padding, bool flip, double gain) {
  x = dense(x);
  Call call(x, f, up, down, padding, flip, gain);
  STD_TORCH_CHECK(y.size(0) == x.size(0) && y.size(1) == x.size(1) && y.size(2) == call.y.out &&
                      y.size(3) == call.x.out && y.scalar_type() == x.scalar_type() &&
                      (is_channels_last(x) ? is_channels_last(y) : x.is_contiguous() && y.is_contiguous()),
                  "`y` must be of the type, size and layout of what is added");
  by_type(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    if (Rows<T>::needs_no_buffer(call.x, call.terms, call.unit)) return by_rows<T, true>(x, call, y);
    Tensor made = upfirdn2d(x, f, up, down, padding, flip, gain);
    for (int64_t i = 0; i < y.numel(); i++) {
      T* to = write<T>(y) + i;
      store(to, load(to, 1) + load(read<T>(made) + i, 1), 1);
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(histoxplain, m) {
  m.def(
      "upfirdn2d_add_(Tensor(a!) y, Tensor x, Tensor f, int[] up, int[] down, int[] padding, bool flip, float gain) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("upfirdn2d", TORCH_BOX(&upfirdn2d));
  m.impl("upfirdn2d_add_", TORCH_BOX(&upfirdn2d_add));
}

}  // namespace histoxplain
