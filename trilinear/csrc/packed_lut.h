// A LUT laid out for reading, and reading it: one pixel at a time, or 16 with AVX-512.
//
// Each grid point holds 8 floats, its own cell (r, g, b, filled) and that of its neighbor along green, so that the four
// corners on one side along blue are 16 floats in a row. The LUT is twice as large as it need be and still fits the
// second-level cache; four times (all corners of a side in one aligned line) would not, and is slower.

#pragma once

#include "color_grid.h"

#if CO2NET_HAS_WIDE
#include <immintrin.h>
#endif

namespace co2net {

constexpr int64_t kPair = 8;  // floats per grid point

// Packs the LUTs lut (batch, 3, dim^3), times `factor`; count (batch, dim^3) or null says which cells are filled.
// Empty cells are all 0, so one weighted sum gives the numerator and the sum of the weights together.
inline Buffer<float> pack_pairs(const float* lut, const float* count, int64_t batch, int64_t dim, float factor,
                                int64_t threads) {
  const int64_t cells = dim * dim * dim;
  Buffer<float> packed = allocate<float>(batch * cells * kPair);
  parallel(batch * dim, useful_threads(batch * cells, threads), [&](int64_t slab) {
    const int64_t item = slab / dim, begin = slab % dim * dim * dim;
    const float *from = lut + item * 3 * cells + begin, *filled = count ? count + item * cells + begin : nullptr;
    float* to = packed.get() + (item * cells + begin) * kPair;
    for (int64_t cell = 0; cell < dim * dim; ++cell) {
      const float valid = !filled || filled[cell] != 0.0f ? 1.0f : 0.0f;
      float own[4] = {0.0f, 0.0f, 0.0f, valid};
      for (int64_t k = 0; k < 3 && valid != 0.0f; ++k) own[k] = from[cell + k * cells] * factor;
      std::memcpy(to + cell * kPair, own, sizeof own);
      if (cell >= dim) std::memcpy(to + (cell - dim) * kPair + 4, own, sizeof own);
    }
    // The far half of the last row belongs to no cell; nothing unset may be read even so.
    for (int64_t cell = dim * dim - dim; cell < dim * dim; ++cell) std::memset(to + cell * kPair + 4, 0, 16);
  });
  return packed;
}

// The weighted sum over the corners of pixel i: r, g, b and, with a count, the sum of the weights. `kEights` uses lanes
// of 8 floats, which only pays where the processor has them.
template <bool kEights>
CO2NET_INLINE F4 read_pixel(const float* packed, int64_t slab, const Block<float>& at, int i) {
  const float *p = packed + kPair * static_cast<int64_t>(at.cell[i]), *q = p + slab;
  const float b0 = at.near[2][i], b1 = at.far[2][i], g0 = at.near[1][i], g1 = at.far[1][i];
  F4 near, far;
  if (kEights) {
    const F8 near_both = b0 * load<F8>(p) + b1 * load<F8>(q), far_both = b0 * load<F8>(p + 8) + b1 * load<F8>(q + 8);
    near = g0 * low(near_both) + g1 * high(near_both);
    far = g0 * low(far_both) + g1 * high(far_both);
  } else {
    near = g0 * (b0 * load<F4>(p) + b1 * load<F4>(q)) + g1 * (b0 * load<F4>(p + 4) + b1 * load<F4>(q + 4));
    far = g0 * (b0 * load<F4>(p + 8) + b1 * load<F4>(q + 8)) + g1 * (b0 * load<F4>(p + 12) + b1 * load<F4>(q + 12));
  }
  return at.near[0][i] * near + at.far[0][i] * far;
}

#if CO2NET_HAS_WIDE

struct Sixteen {
  __m512 color[3], weight;  // of 16 pixels
};

// Four pixels: their sums (r, g, b, weight), one after the other. The near and far weights along red and green come
// with each pixel's weight repeated four times.
CO2NET_WIDE __m512 read_four(const float* packed, int64_t slab, const int32_t* cell, const float* b0, const float* b1,
                             __m512 g0, __m512 g1, __m512 r0, __m512 r1) {
  __m512 v[4];  // per pixel, its corners (near r, near g), (near, far), (far, near), (far, far)
  for (int j = 0; j < 4; ++j) {
    const float* p = packed + kPair * static_cast<int64_t>(cell[j]);
    v[j] = _mm512_add_ps(_mm512_mul_ps(_mm512_set1_ps(b0[j]), _mm512_loadu_ps(p)),
                         _mm512_mul_ps(_mm512_set1_ps(b1[j]), _mm512_loadu_ps(p + slab)));
  }
  // Transposed: per corner, the four pixels.
  const __m512 t0 = _mm512_shuffle_f32x4(v[0], v[1], 0x44), t1 = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
  const __m512 t2 = _mm512_shuffle_f32x4(v[0], v[1], 0xee), t3 = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
  const __m512 near = _mm512_add_ps(_mm512_mul_ps(g0, _mm512_shuffle_f32x4(t0, t1, 0x88)),
                                    _mm512_mul_ps(g1, _mm512_shuffle_f32x4(t0, t1, 0xdd)));
  const __m512 far = _mm512_add_ps(_mm512_mul_ps(g0, _mm512_shuffle_f32x4(t2, t3, 0x88)),
                                   _mm512_mul_ps(g1, _mm512_shuffle_f32x4(t2, t3, 0xdd)));
  return _mm512_add_ps(_mm512_mul_ps(r0, near), _mm512_mul_ps(r1, far));
}

// The pixels i .. i + 15 of a block, by channel.
CO2NET_WIDE Sixteen read_sixteen(const float* packed, int64_t slab, const Block<float>& at, int i) {
  const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const __m512 g0 = _mm512_loadu_ps(at.near[1] + i), g1 = _mm512_loadu_ps(at.far[1] + i);
  const __m512 r0 = _mm512_loadu_ps(at.near[0] + i), r1 = _mm512_loadu_ps(at.far[0] + i);
  __m512 four[4];
  for (int q = 0; q < 4; ++q) {
    const __m512i each = _mm512_add_epi32(first, _mm512_set1_epi32(4 * q));
    four[q] = read_four(packed, slab, at.cell + i + 4 * q, at.near[2] + i + 4 * q, at.far[2] + i + 4 * q,
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
  const __m512 one = _mm512_set1_ps(1.0f);
  __m512i cell[3];
  __mmask16 infinite = 0;
  for (int k = 0; k < 3; ++k) {
    infinite |= _mm512_fpclass_ps_mask(colors[k], 0x99);  // infinities and NaN
    const __m512 color = _mm512_min_ps(_mm512_max_ps(colors[k], _mm512_setzero_ps()), one);
    const __m512 base = _mm512_roundscale_ps(_mm512_mul_ps(color, scale), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m512 fraction = _mm512_sub_ps(_mm512_sub_ps(color, _mm512_mul_ps(base, high)), _mm512_mul_ps(base, low));
    fraction = _mm512_mul_ps(fraction, scale);
    const __mmask16 before = _mm512_cmp_ps_mask(fraction, _mm512_setzero_ps(), _CMP_LT_OQ);
    fraction = _mm512_min_ps(_mm512_mask_add_ps(fraction, before, fraction, one), one);
    cell[k] = _mm512_cvttps_epi32(_mm512_mask_sub_ps(base, before, base, one));
    _mm512_storeu_ps(at.far[k] + i, fraction);
    _mm512_storeu_ps(at.near[k] + i, _mm512_sub_ps(one, fraction));
  }
  const __m512i dim = _mm512_set1_epi32(steps.dim);
  const __m512i slab = _mm512_add_epi32(_mm512_mullo_epi32(cell[2], dim), cell[1]);
  _mm512_storeu_si512(at.cell + i, _mm512_add_epi32(_mm512_mullo_epi32(slab, dim), cell[0]));
  return infinite;
}

// Lets read_sixteen() read whole sixteens: what follows the last pixel is pixel 0 of the LUT with weight 0.
CO2NET_WIDE void fill_up(Block<float>& at, int size) {
  for (int i = size; i < kBlock && i % 16 != 0; ++i) {
    at.cell[i] = 0;
    for (int k = 0; k < 3; ++k) at.near[k][i] = at.far[k][i] = 0.0f;
  }
}

#endif

}  // namespace co2net
