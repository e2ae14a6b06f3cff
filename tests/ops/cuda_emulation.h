// Stands in for a GPU where there is none: every thread of every block, one after the other. Order is scrambled, shared
// memory starts as NaN, and the grid is small, so that what relies on luck shows.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <cstring>
#include <memory>
#include <numeric>

#define HISTOXPLAIN_KERNELS(m) STABLE_TORCH_LIBRARY_IMPL(histoxplain_emulated, CPU, m)

namespace histoxplain {

static_assert(quotient((int64_t{1} << 40) + 5, 7) == ((int64_t{1} << 40) + 5) / 7);
static_assert(quotient((int64_t{1} << 32) - 1, 3) == ((int64_t{1} << 32) - 1) / 3);
static_assert(quotient(5, int64_t{1} << 33) == 0);

template <class F>
void in_scrambled_order(int64_t count, const F& visit) {
  if (count == 0) return;
  int64_t step = count / 2 + 7;
  while (std::gcd(step, count) != 1) ++step;
  for (int64_t k = 0; k < count; ++k) visit((k * step + 3) % count);
}

class Queue {
 public:
  explicit Queue(const torch::stable::Tensor&) {}

  template <class Body>
  void each(const Body& body, int64_t count) const {
    constexpr int64_t threads = 3 * kThreads;
    in_scrambled_order(threads, [&](int64_t thread) { stride_through(body, thread, count, threads); });
  }

  template <class Body>
  void tiles(const Body& body, int64_t count) const {
    const auto shared = std::make_unique<typename Body::Shared>();
    in_scrambled_order(count, [&](int64_t tile) {
      std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(*shared));
      in_scrambled_order(kThreads, [&](int64_t thread) { body.gather(tile, thread, *shared); });
      in_scrambled_order(kThreads, [&](int64_t thread) { body.finish(tile, thread, *shared); });
    });
  }
};

}  // namespace histoxplain
