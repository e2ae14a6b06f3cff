// Reciprocal lengths of modulated filters and their gradient: small sums over a weight that is read once.
#include <cmath>
#include <tuple>
#include <vector>

#include "layout.h"

namespace histoxplain {
namespace {

constexpr double LEAST = 1e-8;  // is added to a square length
constexpr int64_t ROWS = 16;    // filters that a thread works on before it takes the next

template <class T>
T dot(const T* a, const T* b, int64_t count) {
  vector_of<T> total{};
  int64_t i = 0;
  for (; i + LANES<T> <= count; i += LANES<T>) total = multiply_add(load(a + i), load(b + i), total);
  if (i < count) total += load(a + i, count - i) * load(b + i, count - i);
  return sum<T>(total);
}

template <class T>
std::vector<T> squares(const T* x, int64_t count) {
  std::vector<T> found(count);
  for (int64_t i = 0; i < count; i++) found[i] = x[i] * x[i];
  return found;
}

// Of `count` kernels, the sum of the squares of their taps.
template <class T>
void energies(const T* weight, int64_t taps, int64_t count, T* energy) {
  for (int64_t i = 0; i < count; i++, weight += taps) {
    T total = 0;
    for (int64_t t = 0; t < taps; t++) total += weight[t] * weight[t];
    energy[i] = total;
  }
}

// weight (O, I, kh, kw) and styles (N, I) to (N, O).
Tensor demodulation(Tensor weight, Tensor styles) {
  ScalarType stored = styles.scalar_type(), type = compute_type(stored);
  weight = *parameter(weight, type), styles = *parameter(styles, type);
  int64_t n = styles.size(0), into = weight.size(1), out = weight.size(0), taps = weight.size(2) * weight.size(3);
  Tensor scale = torch::stable::new_empty(styles, {n, out});
  in_compute_type(type, [&](auto element) {
    using T = decltype(element);
    std::vector<T> square = squares(read<T>(styles), n * into);
    const T* kernels = read<T>(weight);
    T* to = write<T>(scale);
    share_range(out, ROWS, [&](int64_t begin, int64_t end) {
      std::vector<T> energy(into);
      for (int64_t o = begin; o < end; o++) {
        energies(kernels + o * into * taps, taps, into, energy.data());
        for (int64_t i = 0; i < n; i++) {
          T length = dot(square.data() + i * into, energy.data(), into) + (T)LEAST;
          to[i * out + o] = 1 / std::sqrt(length);
        }
      }
    });
  });
  return torch::stable::to(scale, stored);
}

// gradient and scale (N, O) to the gradients of weight and styles.
std::tuple<Tensor, Tensor> demodulation_backward(Tensor gradient, Tensor weight, Tensor styles, Tensor scale) {
  ScalarType stored[] = {weight.scalar_type(), styles.scalar_type()}, type = compute_type(stored[1]);
  for (Tensor* x : {&gradient, &weight, &styles, &scale}) *x = *parameter(*x, type);
  int64_t n = styles.size(0), into = weight.size(1), out = weight.size(0), taps = weight.size(2) * weight.size(3);
  Tensor dweight = torch::stable::empty_like(weight), dstyles = torch::stable::empty_like(styles);
  in_compute_type(type, [&](auto element) {
    using T = decltype(element);
    std::vector<T> square = squares(read<T>(styles), n * into), energy(out * into), slope(n * out);
    const T *kernels = read<T>(weight), *lengths = read<T>(scale), *back = read<T>(gradient), *factors = read<T>(styles);
    T *dkernels = write<T>(dweight), *dfactors = write<T>(dstyles);
    for (int64_t i = 0; i < n * out; i++) slope[i] = -back[i] * lengths[i] * lengths[i] * lengths[i];
    share_range(out, ROWS, [&](int64_t begin, int64_t end) {
      std::vector<T> factor(into);
      for (int64_t o = begin; o < end; o++) {
        energies(kernels + o * into * taps, taps, into, energy.data() + o * into);
        std::fill(factor.begin(), factor.end(), 0);
        for (int64_t i = 0; i < n; i++) {
          for (int64_t c = 0; c < into; c++) factor[c] += slope[i * out + o] * square[i * into + c];
        }
        const T* from = kernels + o * into * taps;
        T* to = dkernels + o * into * taps;
        for (int64_t c = 0; c < into; c++) {
          for (int64_t t = 0; t < taps; t++, from++, to++) *to = *from * factor[c];
        }
      }
    });
    share_range(n, 1, [&](int64_t begin, int64_t end) {
      std::vector<T> total(into);
      for (int64_t i = begin; i < end; i++) {
        std::fill(total.begin(), total.end(), 0);
        for (int64_t o = 0; o < out; o++) {
          for (int64_t c = 0; c < into; c++) total[c] += slope[i * out + o] * energy[o * into + c];
        }
        for (int64_t c = 0; c < into; c++) dfactors[i * into + c] = factors[i * into + c] * total[c];
      }
    });
  });
  return {torch::stable::to(dweight, stored[0]), torch::stable::to(dstyles, stored[1])};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(histoxplain, CPU, m) {
  m.impl("demodulation", TORCH_BOX(&demodulation));
  m.impl("demodulation_backward", TORCH_BOX(&demodulation_backward));
}

}  // namespace histoxplain
