// Reading a LUT for frames as decoders give them: planes of luma and chroma, 8 bits, changed without a picture in RGB
// between. Colors are those of co2net/video/color.py: chroma is interpolated, and what is added to the samples is the
// change of RGB through the matrix, so samples whose colors do not change stay.

#pragma once

#include "packed_lut.h"

namespace co2net {
namespace {

struct Planes {
  const float* packed;         // from pack_lut(), in codes
  const uint8_t* samples[3];   // luma and two of chroma, whole planes
  const uint8_t* front[3];     // likewise, laid over them by the mask before the LUT is read; or null
  const void* mask;            // of the box: codes with a table of their values, or floats without one
  const float* table;
  uint8_t* output[3];          // of the box
  int64_t stride[3], front_stride[3], mask_stride;  // in bytes
  int64_t height, width, top, bottom, left, right;  // the box: whole chroma blocks
  int shift_x, shift_y;        // 1, 1 or 1, 0 or 0, 0
  float to_rgb[3][4], front_to_rgb[3][4];  // codes, chroma times 64, to RGB times 256
  float from_rgb[3][3];        // changes of RGB to changes of samples
  float strength;
  Steps steps;
};

struct Row {
  float code[3][kBlock];    // colors of the planes
  float color[3][kBlock];   // what the LUT reads: the same, or those laid over
  float after[3][kBlock];
  float share[kBlock];
};

CO2NET_INLINE float to_nearest(float value) { return (value + 8388608.0f) - 8388608.0f; }  // 0 to 2^22, ties to even
CO2NET_INLINE float within(float value, float most) {
  value = value > 0.0f ? value : 0.0f;
  return value < most ? value : most;
}

// Chroma of a row of pixels, times 64: exact, as the weights are quarters.
CO2NET_INLINE void interpolate(const Planes& job, const uint8_t* samples, int64_t stride, int64_t row, int64_t column,
                               int size, float* wide) {
  const int64_t rows = (job.height + job.shift_y) >> job.shift_y, columns = (job.width + job.shift_x) >> job.shift_x;
  const int64_t near = row >> job.shift_y, first = column >> job.shift_x;
  int64_t far = job.shift_y ? (row & 1 ? near + 1 : near - 1) : near;
  far = far < 0 ? 0 : far < rows ? far : rows - 1;
  const uint8_t *a = samples + near * stride, *b = samples + far * stride;
  if (!job.shift_x) {
    for (int i = 0; i < size; ++i) wide[i] = 64.0f * a[first + i];
    return;
  }
  const int half = (size + 1) / 2;
  float line[kBlock / 2 + 2];
  for (int i = 1; i <= half; ++i) line[i] = static_cast<float>(3 * a[first + i - 1] + b[first + i - 1]);
  const int64_t before = first > 0 ? first - 1 : 0, after = first + half < columns ? first + half : columns - 1;
  line[0] = static_cast<float>(3 * a[before] + b[before]);
  line[half + 1] = static_cast<float>(3 * a[after] + b[after]);
  for (int i = 0; i < half; ++i) {
    wide[2 * i] = 4.0f * (line[i] + 3.0f * line[i + 1]);
    wide[2 * i + 1] = 4.0f * (3.0f * line[i + 1] + line[i + 2]);
  }
}

// Colors of a row of pixels, in codes.
CO2NET_INLINE void convert(const Planes& job, const uint8_t* const* samples, const int64_t* stride,
                           const float (*to_rgb)[4], int64_t row, int64_t column, int size, float (*colors)[kBlock]) {
  float chroma[2][kBlock + 2];
  interpolate(job, samples[1], stride[1], row, column, size, chroma[0]);
  interpolate(job, samples[2], stride[2], row, column, size, chroma[1]);
  const uint8_t* luma = samples[0] + row * stride[0] + column;
  for (int k = 0; k < 3; ++k) {
    const float *m = to_rgb[k], *u = chroma[0], *v = chroma[1];
    for (int i = 0; i < size; ++i) {
      const float value = (m[0] * static_cast<float>(luma[i]) + m[1] * u[i]) + m[2] * v[i] + m[3];
      const float code = to_nearest(to_nearest(within(value, 65535.0f)) * (1.0f / 256.0f));
      colors[k][i] = code < 255.0f ? code : 255.0f;
    }
  }
}

// Colors and shares of a row of pixels; returns whether any may change.
CO2NET_INLINE bool prepare(const Planes& job, int64_t row, int64_t column, int size, Row& at) {
  const char* mask = static_cast<const char*>(job.mask) + (row - job.top) * job.mask_stride;
  const int64_t first = column - job.left;
  if (job.table) {
    const uint8_t* codes = reinterpret_cast<const uint8_t*>(mask) + first;
    for (int i = 0; i < size; ++i) at.share[i] = job.table[codes[i]];
  } else {
    std::memcpy(at.share, reinterpret_cast<const float*>(mask) + first, sizeof(float) * static_cast<size_t>(size));
  }
  uint32_t some = 0;
  for (int i = 0; i < size; ++i) some |= at.share[i] > 0.0f;
  if (!some) return false;
  convert(job, job.samples, job.stride, job.to_rgb, row, column, size, at.code);
  if (!job.front[0]) {
    std::memcpy(at.color, at.code, sizeof at.code);
    return true;
  }
  convert(job, job.front, job.front_stride, job.front_to_rgb, row, column, size, at.color);
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < size; ++i) {
      const float share = at.share[i];
      at.color[k][i] = to_nearest(share * at.color[k][i] + (1.0f - share) * at.code[k][i]);
    }
  return true;
}

CO2NET_INLINE void read_row(const Planes& job, int size, Row& at) {
  const float unit = 1.0f / 255.0f;
  Block<float> where;
  float colors[3][kBlock];
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < size; ++i) colors[k][i] = at.color[k][i] * unit;
  locate_quickly(colors[0], kBlock, size, job.steps, where);
  for (int i = 0; i < size; ++i) {
    if (!(at.share[i] > 0.0f)) {
      for (int k = 0; k < 3; ++k) at.after[k][i] = at.color[k][i];
      continue;
    }
    const F4 read = read_pixel<false>(job.packed, job.steps.dim, where, i);
    const float weight = job.strength * at.share[i];
    for (int k = 0; k < 3; ++k)
      at.after[k][i] = to_nearest(within(at.color[k][i] + weight * (read[k] - at.color[k][i]), 255.0f));
  }
}

#if CO2NET_HAS_WIDE
CO2NET_AVX2 void read_row_eights(const Planes& job, int size, Row& at) {
  const __m256 unit = _mm256_set1_ps(1.0f / 255.0f), most = _mm256_set1_ps(255.0f), none = _mm256_setzero_ps();
  Block<float> where;
  for (int i = size; i % 8 != 0; ++i) {  // what follows the last pixel is read along and used by nobody
    at.share[i] = 0.0f;
    for (int k = 0; k < 3; ++k) at.color[k][i] = 0.0f;
  }
  for (int i = 0; i < size; i += 8) {
    const __m256 share = _mm256_loadu_ps(at.share + i), inside = _mm256_cmp_ps(share, none, _CMP_GT_OQ);
    __m256 old[3], colors[3];
    for (int k = 0; k < 3; ++k) {
      old[k] = _mm256_loadu_ps(at.color[k] + i);
      colors[k] = _mm256_mul_ps(old[k], unit);
      _mm256_storeu_ps(at.after[k] + i, old[k]);
    }
    if (_mm256_testz_ps(inside, inside)) continue;
    locate_eight(colors, job.steps, where, i);
    const Eight read = read_eight(job.packed, job.steps.dim, where, i);
    const __m256 weight = _mm256_mul_ps(_mm256_set1_ps(job.strength), share);
    for (int k = 0; k < 3; ++k) {
      __m256 value = _mm256_add_ps(old[k], _mm256_mul_ps(weight, _mm256_sub_ps(read.color[k], old[k])));
      value = _mm256_round_ps(_mm256_min_ps(_mm256_max_ps(value, none), most), 8);  // to the nearest, ties to even
      _mm256_storeu_ps(at.after[k] + i, _mm256_blendv_ps(old[k], value, inside));
    }
  }
}
CO2NET_WIDE void read_row_wide(const Planes& job, int size, Row& at) {
  const __m512 unit = _mm512_set1_ps(1.0f / 255.0f), most = _mm512_set1_ps(255.0f);
  Block<float> where;
  for (int i = 0; i < size; i += 16) {
    const __mmask16 valid = lanes(size - i);
    const __mmask16 inside =
        _mm512_mask_cmp_ps_mask(valid, _mm512_maskz_loadu_ps(valid, at.share + i), _mm512_setzero_ps(), _CMP_GT_OQ);
    __m512 old[3], colors[3];
    for (int k = 0; k < 3; ++k) {
      old[k] = _mm512_maskz_loadu_ps(valid, at.color[k] + i);
      colors[k] = _mm512_mul_ps(old[k], unit);
      _mm512_mask_storeu_ps(at.after[k] + i, valid, old[k]);
    }
    if (!inside) continue;
    locate_sixteen(colors, job.steps, where, i);
    const Sixteen read = read_sixteen(job.packed, job.steps.dim, where, i);
    const __m512 weight = _mm512_mul_ps(_mm512_set1_ps(job.strength), _mm512_maskz_loadu_ps(valid, at.share + i));
    for (int k = 0; k < 3; ++k) {
      __m512 value = _mm512_add_ps(old[k], _mm512_mul_ps(weight, _mm512_sub_ps(read.color[k], old[k])));
      value = _mm512_min_ps(_mm512_max_ps(value, _mm512_setzero_ps()), most);
      _mm512_mask_storeu_ps(at.after[k] + i, inside, _mm512_roundscale_ps(value, 8));  // to the nearest, ties to even
    }
  }
}
#endif

// Writes the luma of a row, and leaves the change of its colors in `at.after`.
CO2NET_INLINE void finish_luma(const Planes& job, int64_t row, int64_t column, int size, Row& at) {
  const uint8_t* luma = job.samples[0] + row * job.stride[0] + column;
  uint8_t* output = job.output[0] + (row - job.top) * (job.right - job.left) + column - job.left;
  const float* m = job.from_rgb[0];
  for (int i = 0; i < size; ++i) {
    for (int k = 0; k < 3; ++k) at.after[k][i] -= at.code[k][i];
    const float change = (m[0] * at.after[0][i] + m[1] * at.after[1][i]) + m[2] * at.after[2][i];
    output[i] = static_cast<uint8_t>(to_nearest(within(static_cast<float>(luma[i]) + change, 255.0f)));
  }
}

// Writes the chroma of a row of blocks: the mean change of their pixels, of which the picture's last may be missing.
CO2NET_INLINE void finish_chroma(const Planes& job, int64_t row, int64_t column, int size, const Row& first,
                                 const Row& second) {
  const int step = 1 << job.shift_x, blocks = (size + step - 1) >> job.shift_x;
  float mean[3][kBlock];
  for (int k = 0; k < 3; ++k) {
    float both[kBlock + 1];
    for (int i = 0; i < size; ++i) both[i] = first.after[k][i] + second.after[k][i];
    both[size] = both[size - 1];
    if (job.shift_x) {
      for (int i = 0; i < blocks; ++i) mean[k][i] = 0.25f * (both[2 * i] + both[2 * i + 1]);
    } else {
      for (int i = 0; i < blocks; ++i) mean[k][i] = 0.5f * both[i];
    }
  }
  const int64_t width = (job.right - job.left + step - 1) >> job.shift_x;
  const int64_t place = ((row - job.top) >> job.shift_y) * width + ((column - job.left) >> job.shift_x);
  for (int plane = 1; plane < 3; ++plane) {
    const uint8_t* from =
        job.samples[plane] + (row >> job.shift_y) * job.stride[plane] + (column >> job.shift_x);
    const float* m = job.from_rgb[plane];
    for (int i = 0; i < blocks; ++i) {
      const float change = (m[0] * mean[0][i] + m[1] * mean[1][i]) + m[2] * mean[2][i];
      job.output[plane][place + i] =
          static_cast<uint8_t>(to_nearest(within(static_cast<float>(from[i]) + change, 255.0f)));
    }
  }
}

struct Strip {
  const Planes* job;
  int64_t row;  // the first of a row of chroma blocks
};

// One row of chroma blocks, from the left of the box to the right. A macro because `read` has a target of its own.
#define CO2NET_CHANGE_STRIP(strip, read)                                                                              \
  const Planes& job = *(strip).job;                                                                                   \
  const int64_t end = (strip).row + (int64_t{1} << job.shift_y);                                                      \
  const int64_t last = end < job.bottom ? end : job.bottom;                                                           \
  Row rows[2];                                                                                                        \
  for (int64_t column = job.left; column < job.right; column += kBlock) {                                             \
    const int size = static_cast<int>(job.right - column < kBlock ? job.right - column : kBlock);                     \
    for (int64_t row = (strip).row; row < last; ++row) {                                                              \
      Row& at = rows[row - (strip).row];                                                                              \
      if (prepare(job, row, column, size, at)) {                                                                      \
        read(job, size, at);                                                                                          \
        finish_luma(job, row, column, size, at);                                                                      \
      } else {                                                                                                        \
        std::memcpy(job.output[0] + (row - job.top) * (job.right - job.left) + column - job.left,                     \
                    job.samples[0] + row * job.stride[0] + column, static_cast<size_t>(size));                        \
        std::memset(at.after, 0, sizeof at.after);                                                                    \
      }                                                                                                               \
    }                                                                                                                 \
    finish_chroma(job, (strip).row, column, size, rows[0], rows[last - (strip).row - 1]);                             \
  }

CO2NET_INLINE void change_strip(const Strip& strip) { CO2NET_CHANGE_STRIP(strip, read_row) }
#if CO2NET_HAS_WIDE
CO2NET_AVX2 void change_strip_eights(const Strip& strip) { CO2NET_CHANGE_STRIP(strip, read_row_eights) }
CO2NET_WIDE void change_strip_wide(const Strip& strip) { CO2NET_CHANGE_STRIP(strip, read_row_wide) }
#endif
CO2NET_VERSIONS_OF(change_strip, change_strip, change_strip_eights, change_strip_wide, Strip)

}  // namespace
}  // namespace co2net
