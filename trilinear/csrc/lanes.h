// Short vectors of numbers, and compiling one loop for several instruction sets.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__GNUC__) || defined(__clang__)
#define CO2NET_API extern "C" __attribute__((visibility("default")))
#define CO2NET_INLINE static inline __attribute__((always_inline))
#else
#define CO2NET_API extern "C" __declspec(dllexport)
#define CO2NET_INLINE static __forceinline
#endif

namespace co2net {

// A cell of a LUT is 4 numbers, two neighbors along red are 8. CO2NET_PLAIN_LANES tries what other compilers get.
#if (defined(__GNUC__) || defined(__clang__)) && !defined(CO2NET_PLAIN_LANES)
typedef float F4 __attribute__((vector_size(16)));
typedef float F8 __attribute__((vector_size(32)));
typedef double D4 __attribute__((vector_size(32)));
typedef double D8 __attribute__((vector_size(64)));
CO2NET_INLINE D8 widen(const F8& v) { return __builtin_convertvector(v, D8); }
#else
template <class T, int N>
struct Lanes {
  T v[N];
  T operator[](int i) const { return v[i]; }
  friend Lanes operator+(Lanes a, const Lanes& b) {
    for (int i = 0; i < N; ++i) a.v[i] += b.v[i];
    return a;
  }
  friend Lanes operator-(Lanes a, const Lanes& b) {
    for (int i = 0; i < N; ++i) a.v[i] -= b.v[i];
    return a;
  }
  friend Lanes operator*(T factor, Lanes a) {
    for (int i = 0; i < N; ++i) a.v[i] *= factor;
    return a;
  }
};
typedef Lanes<float, 4> F4;
typedef Lanes<float, 8> F8;
typedef Lanes<double, 4> D4;
typedef Lanes<double, 8> D8;
CO2NET_INLINE D8 widen(const F8& v) {
  D8 wide;
  for (int i = 0; i < 8; ++i) wide.v[i] = v[i];
  return wide;
}
#endif

template <class V, class T>
CO2NET_INLINE V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class V, class T>
CO2NET_INLINE void store(T* to, const V& v) {
  std::memcpy(to, &v, sizeof v);
}

// The halves of a pair of cells. Going through memory is right everywhere but slow, GCC before 12 knows nothing else.
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector) && !defined(CO2NET_PLAIN_LANES)
#define CO2NET_HALF(v, Half, side) \
  __builtin_shufflevector(v, v, 4 * (side), 4 * (side) + 1, 4 * (side) + 2, 4 * (side) + 3)
#endif
#endif
#ifndef CO2NET_HALF
#define CO2NET_HALF(v, Half, side) load<Half>(reinterpret_cast<const char*>(&v) + (side) * sizeof(Half))
#endif
CO2NET_INLINE F4 low(const F8& v) { return CO2NET_HALF(v, F4, 0); }
CO2NET_INLINE F4 high(const F8& v) { return CO2NET_HALF(v, F4, 1); }
CO2NET_INLINE D4 low(const D8& v) { return CO2NET_HALF(v, D4, 0); }
CO2NET_INLINE D4 high(const D8& v) { return CO2NET_HALF(v, D4, 1); }

}  // namespace co2net

// Lowered by tests and CO2NET_INSTRUCTIONS to run the versions for older processors too: 0 any, 1 AVX2, 2 AVX-512.
static int newest_allowed = 2;
CO2NET_API void co2net_limit_instructions(int newest) { newest_allowed = newest; }

// CO2NET_VERSIONS(loop, Job) makes loop_best(), which returns the fastest version of `loop(const Job&)` that this
// processor can run. `loop` must be CO2NET_INLINE: it is inlined into every version. CO2NET_VERSIONS_OF makes name_best()
// of loops for any processor, for AVX2 (CO2NET_AVX2), and for AVX-512 (CO2NET_WIDE). Built with -ffp-contract=off the
// versions agree to the bit; fused multiply-add brought 5 %. The version for any processor is SSE2 on x86-64 and NEON on
// 64-bit ARM, where both are always there.
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define CO2NET_HAS_WIDE 1
#define CO2NET_TARGET(list) __attribute__((target(list)))
#define CO2NET_AVX2 __attribute__((target("avx2"), always_inline)) static inline
#define CO2NET_AVX512 "avx2,avx512f,avx512dq,avx512bw,avx512vl"
#define CO2NET_WIDE __attribute__((target(CO2NET_AVX512), always_inline)) static inline
#define CO2NET_VERSIONS_OF(name, base, avx2, wide, Job)                                            \
  static void name##_base(const Job& job) { base(job); }                                           \
  CO2NET_TARGET("avx2") static void name##_avx2(const Job& job) { avx2(job); }                     \
  CO2NET_TARGET(CO2NET_AVX512) static void name##_avx512(const Job& job) { wide(job); }            \
  static void (*name##_best())(const Job&) {                                                       \
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && \
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");  \
    if (newest_allowed >= 2 && avx512) return name##_avx512;                                       \
    return newest_allowed >= 1 && __builtin_cpu_supports("avx2") ? name##_avx2 : name##_base;      \
  }
#else
#define CO2NET_HAS_WIDE 0
#define CO2NET_VERSIONS_OF(name, base, avx2, wide, Job)  \
  static void name##_base(const Job& job) { base(job); } \
  static void (*name##_best())(const Job&) { return name##_base; }
#endif

#if CO2NET_HAS_WIDE
// The first `size` of 16 lanes, all if there are more.
CO2NET_WIDE uint16_t lanes(int64_t size) { return static_cast<uint16_t>(size >= 16 ? 0xffff : (1u << size) - 1); }
#endif

#define CO2NET_VERSIONS(loop, Job) CO2NET_VERSIONS_OF(loop, loop, loop, loop, Job)

// Asks for the line at `address`, of which nothing need exist.
#if defined(__GNUC__) || defined(__clang__)
#define CO2NET_PREFETCH(address) __builtin_prefetch(address)
#else
#define CO2NET_PREFETCH(address) (void)(address)
#endif
