// Work for all threads. On a shared machine now one core is slower and now another, so whoever is done helps the others:
// equal shares would take as long as the slowest core takes for its own.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace histoxplain {

// f(item, thread) once for each of 0..items. Every thread begins with a stretch of its own, at every call the same, so that
// what it left in its caches is of use, and then takes what others have not begun.
template <class F>
void share_out(int64_t items, const F& f) {
  int64_t threads = std::min<int64_t>(torch::stable::get_num_threads(), items);
  if (threads <= 1) {
    for (int64_t i = 0; i < items; i++) f(i, int64_t(0));
    return;
  }
  struct alignas(64) Next {
    std::atomic<int64_t> item;
  };
  std::vector<Next> next(threads);
  auto start = [&](int64_t thread) { return thread * items / threads; };
  for (int64_t thread = 0; thread < threads; thread++) next[thread].item = start(thread);
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; thread++) {
      for (int64_t turn = 0; turn < threads; turn++) {
        int64_t owner = (thread + turn) % threads;
        for (int64_t i; (i = next[owner].item++) < start(owner + 1);) f(i, thread);
      }
    }
  });
}

// Into how many parts work is cut whose sums are added up in the end, in the order of the parts.
inline int64_t parts_of_sums() { return std::max<int64_t>(16, 2 * torch::stable::get_num_threads()); }

// Adds rows as wide as `width`, of which every group has as many, to the rows of their groups.
template <class S>
void add_rows(const std::vector<S>& rows, S* totals, int64_t groups, int64_t width) {
  int64_t count = rows.size() / width, each = count / std::max<int64_t>(groups, 1);
  for (int64_t row = 0; row < count; row++) {
    S* total = totals + row / each * width;
    for (int64_t i = 0; i < width; i++) total[i] += rows[row * width + i];
  }
}

// f(begin, end) of stretches of 0..count, each of `grain` or more.
template <class F>
void share_range(int64_t count, int64_t grain, const F& f) {
  constexpr int64_t EACH = 8;  // stretches of a thread
  int64_t threads = torch::stable::get_num_threads(), most = threads > 1 ? threads * EACH : 1;
  int64_t pieces = std::clamp<int64_t>(count / std::max<int64_t>(grain, 1), std::min<int64_t>(count, 1), most);
  share_out(pieces, [&](int64_t i, int64_t) { f(i * count / pieces, (i + 1) * count / pieces); });
}

}  // namespace histoxplain
