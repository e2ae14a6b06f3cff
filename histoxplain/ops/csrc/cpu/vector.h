// Vectors of the width this machine has, and bfloat16 as a way to store floats.
//
// Written with the vector extensions of GCC and Clang, so the same lines become AVX-512, AVX2 or NEON. Everything is
// computed in float, or in double where the tensor is double, and rounded once, when it is stored.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define INLINE __attribute__((always_inline))  // else what lies in registers goes through memory

namespace histoxplain {

#if defined(__AVX512F__)
constexpr int64_t VECTOR_BYTES = 64;
#elif defined(__AVX__)
constexpr int64_t VECTOR_BYTES = 32;
#else
constexpr int64_t VECTOR_BYTES = 16;
#endif

using floats = float __attribute__((vector_size(VECTOR_BYTES)));
using doubles = double __attribute__((vector_size(VECTOR_BYTES)));
using words = uint32_t __attribute__((vector_size(VECTOR_BYTES)));
using halfwords = uint16_t __attribute__((vector_size(VECTOR_BYTES / 2)));

struct bfloat16 {
  uint16_t bits;
};

// What the elements of a tensor are computed in.
template <class T>
struct Compute {
  using scalar = float;
  using vector = floats;
};
template <>
struct Compute<double> {
  using scalar = double;
  using vector = doubles;
};
template <class T>
using scalar_of = typename Compute<T>::scalar;
template <class T>
using vector_of = typename Compute<T>::vector;
template <class T>
constexpr int64_t LANES = VECTOR_BYTES / static_cast<int64_t>(sizeof(scalar_of<T>));

inline floats load(const float* p) {
  floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline doubles load(const double* p) {
  doubles v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline floats load(const bfloat16* p) {
#ifdef __AVX512F__  // what follows takes GCC eight instructions
  return (floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16);
#endif
  halfwords h;
  std::memcpy(&h, p, sizeof h);
  return (floats)(__builtin_convertvector(h, words) << 16);
}

inline void store(float* p, floats v) { std::memcpy(p, &v, sizeof v); }

inline void store(double* p, doubles v) { std::memcpy(p, &v, sizeof v); }

inline void store(bfloat16* p, floats v) {  // to the nearest, ties to even
#ifdef __AVX512BF16__
  auto h = _mm512_cvtneps_pbh((__m512)v);
#else
  words bits = (words)v;
  words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  auto h = __builtin_convertvector(v == v ? rounded : (bits >> 16) | 0x40, halfwords);
#endif
  std::memcpy(p, &h, sizeof h);
}

// The first n elements; the other lanes read as zero and are not written.
template <class T>
inline vector_of<T> load(const T* p, int64_t n) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float>) return (floats)_mm512_maskz_loadu_ps((1u << n) - 1, p);
#endif
  T some[LANES<T>] = {};
  std::memcpy(some, p, n * sizeof(T));
  return load(some);
}

template <class T>
inline void store(T* p, vector_of<T> v, int64_t n) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float>) return _mm512_mask_storeu_ps(p, (1u << n) - 1, (__m512)v);
#endif
  T some[LANES<T>];
  store(some, v);
  std::memcpy(p, some, n * sizeof(T));
}

// Calls f with the vectors of 0..n: (offset, lanes), lanes being LANES<T>, as a constant for `get` and `put`, but for the
// last.
template <class T, class F>
inline void vectors(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + LANES<T> <= n; i += LANES<T>) f(i, std::integral_constant<int64_t, LANES<T>>{});
  if (i < n) f(i, n - i);
}

// Calls f(count, first) with the vectors of 0..n, 8 together, then 4, 2 and 1, a count that the compiler knows: what lies
// side by side in memory is fetched faster. Returns where less than a vector is left.
template <class T, int64_t COUNT = 8, class F>
inline int64_t in_groups(int64_t n, const F& f, int64_t first = 0) {
  for (; first + COUNT * LANES<T> <= n; first += COUNT * LANES<T>) f(std::integral_constant<int64_t, COUNT>{}, first);
  if constexpr (COUNT > 1) return in_groups<T, COUNT / 2>(n, f, first);
  return first;
}

template <class T, int64_t N>
inline vector_of<T> get(const T* p, std::integral_constant<int64_t, N>) {
  return load(p);
}
template <class T>
inline vector_of<T> get(const T* p, int64_t n) {
  return load(p, n);
}
template <class T, int64_t N>
inline void put(T* p, vector_of<T> v, std::integral_constant<int64_t, N>) {
  store(p, v);
}
template <class T>
inline void put(T* p, vector_of<T> v, int64_t n) {
  store(p, v, n);
}

template <class V, class S>
inline V splat(S value) {
  return value - V{};
}

inline floats multiply_add(floats a, floats b, floats c) {
#ifdef __AVX512F__
  return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
  return a * b + c;
#endif
}

inline doubles multiply_add(doubles a, doubles b, doubles c) { return a * b + c; }

// One half of what two rows exchange when a matrix is transposed: lanes whose number has the bit BIT go to the other.
template <int BIT, bool LOW, int... I>
inline floats exchanged(floats a, floats b, std::integer_sequence<int, I...>) {
  constexpr int N = sizeof...(I);
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector(a, b, (LOW ? (I & BIT ? I - BIT + N : I) : (I & BIT ? I + N : I + BIT))...);
#else  // GCC 11
  return __builtin_shuffle(a, b, words{(LOW ? (I & BIT ? I - BIT + N : I) : (I & BIT ? I + N : I + BIT))...});
#endif
}

template <int BIT, size_t N>
inline void transpose(std::array<floats, N>& rows) {
  if constexpr (BIT < (int)N) {
    constexpr std::make_integer_sequence<int, N> lanes;
#pragma GCC unroll 16
    for (int i = 0; i < (int)N; i++) {
      if (i & BIT) continue;
      floats a = rows[i], b = rows[i + BIT];
      rows[i] = exchanged<BIT, true>(a, b, lanes);
      rows[i + BIT] = exchanged<BIT, false>(a, b, lanes);
    }
    transpose<2 * BIT>(rows);
  }
}

// Adds lanes whose numbers differ in the bit BIT: those of `a` where it is not set, those of `b` where it is.
template <int BIT>
inline floats folded(floats a, floats b) {
  constexpr std::make_integer_sequence<int, LANES<float>> lanes;
  return exchanged<BIT, true>(a, b, lanes) + exchanged<BIT, false>(a, b, lanes);
}

// Rows added lane by lane until lane i holds a sum of row i % N: all of it if there are as many lanes as rows.
template <int BIT, size_t N>
inline floats folded(std::array<floats, N> rows) {
  if constexpr (BIT < (int)N) {
#pragma GCC unroll 16
    for (int i = 0; i < (int)N; i += 2 * BIT) rows[i] = folded<BIT>(rows[i], rows[i + BIT]);
    return folded<2 * BIT>(rows);
  }
  return rows[0];
}

// Asks for memory before it is needed: what does not lie in a row, the processor does not foresee. Any address will do.
// Inlined, since GCC removes calls that have no effect.
template <class T>
inline __attribute__((always_inline)) void prefetch(const T* p, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / (int64_t)sizeof(T)) __builtin_prefetch(p + i, 0, 2);
}

template <class T>
inline scalar_of<T> sum(vector_of<T> v) {
#ifdef __AVX512F__
  if constexpr (sizeof(v[0]) == 4) return _mm512_reduce_add_ps((__m512)v);
#endif
  scalar_of<T> total = 0;
  for (int64_t i = 0; i < LANES<T>; i++) total += v[i];
  return total;
}

}  // namespace histoxplain
