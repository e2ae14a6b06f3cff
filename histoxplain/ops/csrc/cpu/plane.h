// Activations as the kernels of a generator's layers want them, and where those work.
#pragma once

#include <cstdlib>
#include <memory>

#include "layout.h"
#include "tile.h"

namespace histoxplain {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t filled(int64_t channels) { return ceil_div(channels, CHANNELS) * CHANNELS; }

// Activations (N, H + 2, W + 2, C) inside a border of zeros, so that no pixel is a special case; or without the border.
template <class T>
struct Plane {
  T* data;
  int64_t images, height, width, channels;  // without the border
  int64_t border = 1;
  int64_t row() const { return (width + 2 * border) * channels; }
  int64_t image() const { return (height + 2 * border) * row(); }
  T* at(int64_t n, int64_t y, int64_t x) const {
    return data + n * image() + (y + border) * row() + (x + border) * channels;
  }
};

template <class T>
Plane<T> plane_of(const Tensor& x) {
  return {write<T>(x), x.size(0), x.size(1) - 2, x.size(2) - 2, x.size(3)};
}

// A tensor (N, C, H, W) that lies as (N, H, W, C).
template <class T>
Plane<T> unbordered(const Tensor& x) {
  return {write<T>(x), x.size(0), x.size(2), x.size(3), x.size(1), 0};
}

template <class T>
void clear_border(const Plane<T>& p) {
  share_range(p.images, 4, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      T* top = p.at(n, -1, -1);
      std::fill(top, top + p.row(), T{});
      std::fill(top + p.image() - p.row(), top + p.image(), T{});
      for (int64_t y = 0; y < p.height; y++) {
        std::fill(p.at(n, y, -1), p.at(n, y, 0), T{});
        std::fill(p.at(n, y, p.width), p.at(n, y, p.width + 1), T{});
      }
    }
  });
}

// Takes pieces of the caller's workspace; without one it counts what they come to.
struct Room {
  char* start = nullptr;
  int64_t size = 0, used = 0;

  Room() = default;
  Room(char* start_, int64_t size_) : start(start_), size(size_) {}
  explicit Room(const Tensor& workspace)
      : Room(write<char>(workspace), workspace.numel() * workspace.element_size()) {}

  template <class T>
  T* take(int64_t count) {
    char* piece = start + used;
    used += ceil_div(count * (int64_t)sizeof(T), 64) * 64;
    if (!start) return nullptr;
    STD_TORCH_CHECK(used <= size, "`workspace` is too small");
    return reinterpret_cast<T*>(piece);
  }
};

// Memory that a thread keeps from call to call, which then is in the caches.
inline Room kept_room(int64_t size) {
  constexpr int64_t PAGE = 4096;
  thread_local std::unique_ptr<char, void (*)(void*)> memory(nullptr, std::free);
  thread_local int64_t most = 0;
  if (size > most) {
    memory.reset();  // before there is more
    most = 0;
    memory.reset(static_cast<char*>(std::aligned_alloc(PAGE, ceil_div(size, PAGE) * PAGE)));
    STD_TORCH_CHECK(memory, "there is no memory for what a kernel keeps");
    most = size;
  }
  return {memory.get(), size};
}

inline void check_plane(const char* name, const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 4 && x.is_contiguous() && x.size(3) % CHANNELS == 0, "`", name,
                  "` must be contiguous (N, H + 2, W + 2, C) with C in multiples of 16");
}

template <class F>
void by_precision(const Tensor& x, F&& f) {
  if (x.scalar_type() == ScalarType::BFloat16) return f(bfloat16{});
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "`x` must be float32 or bfloat16");
  f(float{});
}

}  // namespace histoxplain
