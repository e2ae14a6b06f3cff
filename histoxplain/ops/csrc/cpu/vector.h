// Vectors of the width this machine has, and bfloat16 as a way to store floats.
//
// Written with the vector extensions of GCC and Clang, so the same lines become AVX-512, AVX2 or NEON. Everything is
// computed in float, or in double where the tensor is double, and rounded once, when it is stored.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

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
  T some[LANES<T>] = {};
  std::memcpy(some, p, n * sizeof(T));
  return load(some);
}

template <class T>
inline void store(T* p, vector_of<T> v, int64_t n) {
  T some[LANES<T>];
  store(some, v);
  std::memcpy(p, some, n * sizeof(T));
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

template <class T>
inline scalar_of<T> sum(vector_of<T> v) {
  scalar_of<T> total = 0;
  for (int64_t i = 0; i < LANES<T>; i++) total += v[i];
  return total;
}

}  // namespace histoxplain
