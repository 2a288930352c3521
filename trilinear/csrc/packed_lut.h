// A LUT laid out for reading, and reading it: one pixel at a time, 8 with AVX2, or 16 with AVX-512.
//
// A grid point is its cell: r, g, b, filled. Two neighbors along red come with one load of 8 floats. A point that also
// holds its neighbor along green makes a LUT twice as large; reading it with AVX-512 was 3 % faster on one processor.

#pragma once

#include "color_grid.h"

#if CO2NET_HAS_WIDE
#include <immintrin.h>
#endif

namespace co2net {

constexpr int64_t kCell = 4;  // floats per grid point

// Packs the LUTs lut (batch, 3, dim^3), times `factor`; count (batch, dim^3) or null says which cells are filled.
// Empty cells are all 0, so one weighted sum gives the numerator and the sum of the weights together.
inline Buffer<float> pack_lut(const float* lut, const float* count, int64_t batch, int64_t dim, float factor,
                              int64_t threads) {
  const int64_t cells = dim * dim * dim;
  Buffer<float> packed = allocate<float>(batch * cells * kCell);
  parallel(batch * dim, useful_threads(batch * cells, threads), [&](int64_t slab) {
    const int64_t item = slab / dim, begin = slab % dim * dim * dim;
    const float *from = lut + item * 3 * cells + begin, *filled = count ? count + item * cells + begin : nullptr;
    float* to = packed.get() + (item * cells + begin) * kCell;
    for (int64_t cell = 0; cell < dim * dim; ++cell) {
      const float valid = !filled || filled[cell] != 0.0f ? 1.0f : 0.0f;
      float own[4] = {0.0f, 0.0f, 0.0f, valid};
      for (int64_t k = 0; k < 3 && valid != 0.0f; ++k) own[k] = from[cell + k * cells] * factor;
      std::memcpy(to + cell * kCell, own, sizeof own);
    }
  });
  return packed;
}

// The weighted sum over the corners of pixel i: r, g, b and, with a count, the sum of the weights. `kEights` uses lanes
// of 8 floats, which only pays where the processor has them.
template <bool kEights>
CO2NET_INLINE F4 read_pixel(const float* packed, int64_t dim, const Block<float>& at, int i) {
  const float *p = packed + kCell * static_cast<int64_t>(at.cell[i]), *q = p + kCell * dim * dim;
  const float *p1 = p + kCell * dim, *q1 = q + kCell * dim;  // far along green
  const float b0 = at.near[2][i], b1 = at.far[2][i], g0 = at.near[1][i], g1 = at.far[1][i];
  F4 near, far;
  if (kEights) {
    const F8 both = g0 * (b0 * load<F8>(p) + b1 * load<F8>(q)) + g1 * (b0 * load<F8>(p1) + b1 * load<F8>(q1));
    near = low(both);
    far = high(both);
  } else {
    near = g0 * (b0 * load<F4>(p) + b1 * load<F4>(q)) + g1 * (b0 * load<F4>(p1) + b1 * load<F4>(q1));
    far = g0 * (b0 * load<F4>(p + 4) + b1 * load<F4>(q + 4)) + g1 * (b0 * load<F4>(p1 + 4) + b1 * load<F4>(q1 + 4));
  }
  return at.near[0][i] * near + at.far[0][i] * far;
}

#if CO2NET_HAS_WIDE

struct Eight {
  __m256 color[3], weight;  // of 8 pixels
};

// Pixel i of a block but for red: its sums (r, g, b, weight) on the near side, then on the far side.
CO2NET_AVX2 __m256 read_sides(const float* packed, int64_t row, int64_t slab, const Block<float>& at, int i) {
  const float* p = packed + kCell * static_cast<int64_t>(at.cell[i]);
  const __m256 b0 = _mm256_broadcast_ss(at.near[2] + i), b1 = _mm256_broadcast_ss(at.far[2] + i);
  const __m256 near = _mm256_add_ps(_mm256_mul_ps(b0, _mm256_loadu_ps(p)),
                                    _mm256_mul_ps(b1, _mm256_loadu_ps(p + slab)));
  const __m256 far = _mm256_add_ps(_mm256_mul_ps(b0, _mm256_loadu_ps(p + row)),
                                   _mm256_mul_ps(b1, _mm256_loadu_ps(p + slab + row)));
  return _mm256_add_ps(_mm256_mul_ps(_mm256_broadcast_ss(at.near[1] + i), near),
                       _mm256_mul_ps(_mm256_broadcast_ss(at.far[1] + i), far));
}

// The pixels i .. i + 7 of a block, by channel.
CO2NET_AVX2 Eight read_eight(const float* packed, int64_t dim, const Block<float>& at, int i) {
  const int64_t row = kCell * dim, slab = row * dim;
  const __m256 r0 = _mm256_loadu_ps(at.near[0] + i), r1 = _mm256_loadu_ps(at.far[0] + i);
  __m256 sums[4];  // of the pixels q and q + 4
#define CO2NET_SUM(q)                                                                                 \
  {                                                                                                   \
    const __m256 a = read_sides(packed, row, slab, at, i + q);                                        \
    const __m256 b = read_sides(packed, row, slab, at, i + q + 4);                                    \
    const __m256 near = _mm256_permute2f128_ps(a, b, 0x20), far = _mm256_permute2f128_ps(a, b, 0x31); \
    sums[q] = _mm256_add_ps(_mm256_mul_ps(_mm256_permute_ps(r0, 0x55 * q), near),                     \
                            _mm256_mul_ps(_mm256_permute_ps(r1, 0x55 * q), far));                     \
  }
  CO2NET_SUM(0) CO2NET_SUM(1) CO2NET_SUM(2) CO2NET_SUM(3)
#undef CO2NET_SUM
  const __m256 rg0 = _mm256_unpacklo_ps(sums[0], sums[1]), rg1 = _mm256_unpacklo_ps(sums[2], sums[3]);
  const __m256 bw0 = _mm256_unpackhi_ps(sums[0], sums[1]), bw1 = _mm256_unpackhi_ps(sums[2], sums[3]);
  return {{_mm256_shuffle_ps(rg0, rg1, 0x44), _mm256_shuffle_ps(rg0, rg1, 0xee), _mm256_shuffle_ps(bw0, bw1, 0x44)},
          _mm256_shuffle_ps(bw0, bw1, 0xee)};
}

// locate_quickly() for 8 pixels at place i of a block; returns what all_finite() looks at.
CO2NET_AVX2 __m256i locate_eight(const __m256* colors, const Steps& steps, Block<float>& at, int i) {
  const __m256 scale = _mm256_set1_ps(steps.scale), high = _mm256_set1_ps(steps.high), low = _mm256_set1_ps(steps.low);
  const __m256 below = _mm256_set1_ps(steps.below), one = _mm256_set1_ps(1.0f);
  __m256i cell[3], largest = _mm256_setzero_si256();
  for (int k = 0; k < 3; ++k) {
    const __m256i bits = _mm256_castps_si256(colors[k]);
    largest = _mm256_max_epu32(largest, _mm256_add_epi32(bits, bits));  // without the sign
    const __m256 color = _mm256_min_ps(_mm256_max_ps(colors[k], _mm256_setzero_ps()), one);
    cell[k] = _mm256_cvttps_epi32(_mm256_mul_ps(color, below));
    const __m256 base = _mm256_cvtepi32_ps(cell[k]);
    __m256 fraction = _mm256_sub_ps(_mm256_sub_ps(color, _mm256_mul_ps(base, high)), _mm256_mul_ps(base, low));
    fraction = _mm256_min_ps(_mm256_mul_ps(fraction, scale), one);
    _mm256_storeu_ps(at.far[k] + i, fraction);
    _mm256_storeu_ps(at.near[k] + i, _mm256_sub_ps(one, fraction));
  }
  const __m256i dim = _mm256_set1_epi32(steps.dim);
  const __m256i slab = _mm256_add_epi32(_mm256_mullo_epi32(cell[2], dim), cell[1]);
  const __m256i number = _mm256_add_epi32(_mm256_mullo_epi32(slab, dim), cell[0]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at.cell + i), number);
  return largest;
}
CO2NET_AVX2 bool all_finite(__m256i largest) {
  const __m256i infinity = _mm256_set1_epi32(static_cast<int>(0xff000000u));  // without the sign, shifted
  const __m256i reaches = _mm256_cmpeq_epi32(_mm256_max_epu32(largest, infinity), largest);
  return _mm256_testz_si256(reaches, reaches) != 0;
}

// Lets pixels be read in groups: what follows the last one is pixel 0 of the LUT with weight 0.
CO2NET_INLINE void fill_up(Block<float>& at, int size) {
  for (int i = size; i < kBlock && i % 16 != 0; ++i) {
    at.cell[i] = 0;
    for (int k = 0; k < 3; ++k) at.near[k][i] = at.far[k][i] = 0.0f;
  }
}

#endif

#if CO2NET_HAS_WIDE

struct Sixteen {
  __m512 color[3], weight;  // of 16 pixels
};

// Four pixels: their sums (r, g, b, weight), one after the other. The near and far weights along red and green come
// with each pixel's weight repeated four times.
CO2NET_WIDE __m512 read_four(const float* packed, int64_t row, int64_t slab, const int32_t* cell, const float* b0,
                             const float* b1, __m512 g0, __m512 g1, __m512 r0, __m512 r1) {
  __m512 v[4];  // per pixel, its corners (near r, near g), (far, near), (near, far), (far, far)
  for (int j = 0; j < 4; ++j) {
    const float* p = packed + kCell * static_cast<int64_t>(cell[j]);
    const __m512 near = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(p + row), 1);
    const float* q = p + slab;
    const __m512 far = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(q)), _mm256_loadu_ps(q + row), 1);
    v[j] = _mm512_add_ps(_mm512_mul_ps(_mm512_set1_ps(b0[j]), near), _mm512_mul_ps(_mm512_set1_ps(b1[j]), far));
  }
  // Transposed: per corner, the four pixels.
  const __m512 t0 = _mm512_shuffle_f32x4(v[0], v[1], 0x44), t1 = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
  const __m512 t2 = _mm512_shuffle_f32x4(v[0], v[1], 0xee), t3 = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
  const __m512 near = _mm512_add_ps(_mm512_mul_ps(g0, _mm512_shuffle_f32x4(t0, t1, 0x88)),
                                    _mm512_mul_ps(g1, _mm512_shuffle_f32x4(t2, t3, 0x88)));
  const __m512 far = _mm512_add_ps(_mm512_mul_ps(g0, _mm512_shuffle_f32x4(t0, t1, 0xdd)),
                                   _mm512_mul_ps(g1, _mm512_shuffle_f32x4(t2, t3, 0xdd)));
  return _mm512_add_ps(_mm512_mul_ps(r0, near), _mm512_mul_ps(r1, far));
}

// The pixels i .. i + 15 of a block, by channel.
CO2NET_WIDE Sixteen read_sixteen(const float* packed, int64_t dim, const Block<float>& at, int i) {
  const int64_t row = kCell * dim, slab = row * dim;
  const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const __m512 g0 = _mm512_loadu_ps(at.near[1] + i), g1 = _mm512_loadu_ps(at.far[1] + i);
  const __m512 r0 = _mm512_loadu_ps(at.near[0] + i), r1 = _mm512_loadu_ps(at.far[0] + i);
  __m512 four[4];
  for (int q = 0; q < 4; ++q) {
    const __m512i each = _mm512_add_epi32(first, _mm512_set1_epi32(4 * q));
    four[q] = read_four(packed, row, slab, at.cell + i + 4 * q, at.near[2] + i + 4 * q, at.far[2] + i + 4 * q,
                        _mm512_permutexvar_ps(each, g0), _mm512_permutexvar_ps(each, g1),
                        _mm512_permutexvar_ps(each, r0), _mm512_permutexvar_ps(each, r1));
  }
  const __m512i rg = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const __m512i bw = _mm512_add_epi32(rg, _mm512_set1_epi32(2));
  const __m512 rg0 = _mm512_permutex2var_ps(four[0], rg, four[1]), rg1 = _mm512_permutex2var_ps(four[2], rg, four[3]);
  const __m512 bw0 = _mm512_permutex2var_ps(four[0], bw, four[1]), bw1 = _mm512_permutex2var_ps(four[2], bw, four[3]);
  return {{_mm512_shuffle_f32x4(rg0, rg1, 0x44), _mm512_shuffle_f32x4(rg0, rg1, 0xee),
           _mm512_shuffle_f32x4(bw0, bw1, 0x44)},
          _mm512_shuffle_f32x4(bw0, bw1, 0xee)};
}

// locate_quickly() for 16 pixels at place i of a block; returns which are not finite.
CO2NET_WIDE __mmask16 locate_sixteen(const __m512* colors, const Steps& steps, Block<float>& at, int i) {
  const __m512 scale = _mm512_set1_ps(steps.scale), high = _mm512_set1_ps(steps.high), low = _mm512_set1_ps(steps.low);
  const __m512 below = _mm512_set1_ps(steps.below), one = _mm512_set1_ps(1.0f);
  __m512i cell[3];
  __mmask16 infinite = 0;
  for (int k = 0; k < 3; ++k) {
    infinite |= _mm512_fpclass_ps_mask(colors[k], 0x99);  // infinities and NaN
    const __m512 color = _mm512_min_ps(_mm512_max_ps(colors[k], _mm512_setzero_ps()), one);
    cell[k] = _mm512_cvttps_epi32(_mm512_mul_ps(color, below));
    const __m512 base = _mm512_cvtepi32_ps(cell[k]);
    __m512 fraction = _mm512_sub_ps(_mm512_sub_ps(color, _mm512_mul_ps(base, high)), _mm512_mul_ps(base, low));
    fraction = _mm512_min_ps(_mm512_mul_ps(fraction, scale), one);
    _mm512_storeu_ps(at.far[k] + i, fraction);
    _mm512_storeu_ps(at.near[k] + i, _mm512_sub_ps(one, fraction));
  }
  const __m512i dim = _mm512_set1_epi32(steps.dim);
  const __m512i slab = _mm512_add_epi32(_mm512_mullo_epi32(cell[2], dim), cell[1]);
  _mm512_storeu_si512(at.cell + i, _mm512_add_epi32(_mm512_mullo_epi32(slab, dim), cell[0]));
  return infinite;
}

#endif

}  // namespace co2net
