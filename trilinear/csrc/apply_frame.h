// Reading a LUT for frames as they are decoded: 8 or 16 bits per channel, channels side by side, blended under a
// mask. The definition is apply_lut_frame() in trilinear/reference.py.

#pragma once

#include "packed_lut.h"

namespace co2net {
namespace {

enum MaskKind { kNoMask = 0, kFloatMask = 1, kByteMask = 2 };

struct Frame {
  const float* packed;  // from pack_lut(), in codes
  const void *frame, *mask;
  void* output;
  int64_t width, top, bottom, left, right;  // outside the window nothing changes
  Steps steps;
  float strength, largest;  // the largest code
  bool two_bytes;
  int mask_kind;
};

struct Blend {
  const Frame* frame;
  int64_t pixel;       // the first of
  int size;            // at most kBlock
  const float* share;  // of the LUT's color; a pixel with a share of 0 or less, or NaN, stays
};

// Writes the mask's values in [0, 1]; returns whether any pixel changes.
inline bool shares_of(const Frame& job, int64_t pixel, int size, float* share) {
  uint32_t some = 0;
  if (job.mask_kind == kNoMask) {
    for (int i = 0; i < size; ++i) share[i] = 1.0f;
    return true;
  }
  if (job.mask_kind == kFloatMask) {
    const float* mask = static_cast<const float*>(job.mask) + pixel;
    for (int i = 0; i < size; ++i) {
      share[i] = mask[i];
      some |= mask[i] > 0.0f;
    }
  } else {
    const uint8_t* mask = static_cast<const uint8_t*>(job.mask) + pixel;
    for (int i = 0; i < size; ++i) {
      share[i] = static_cast<float>(mask[i]) * (1.0f / 255.0f);
      some |= mask[i];
    }
  }
  return some != 0;
}

template <class Code, bool kEights>
CO2NET_INLINE void blend_codes(const Blend& block) {
  const Frame& job = *block.frame;
  const int size = block.size;
  const Code* codes = static_cast<const Code*>(job.frame) + 3 * block.pixel;
  Code* output = static_cast<Code*>(job.output) + 3 * block.pixel;
  const float unit = 1.0f / job.largest;
  Block<float> at;
  float colors[3][kBlock];
  for (int i = 0; i < size; ++i)
    for (int k = 0; k < 3; ++k) colors[k][i] = static_cast<float>(codes[3 * i + k]) * unit;
  locate_quickly(colors[0], kBlock, size, job.steps, at);
  for (int i = 0; i < size; ++i) {
    if (!(block.share[i] > 0.0f)) continue;
    const F4 read = read_pixel<kEights>(job.packed, job.steps.dim, at, i);
    const float weight = job.strength * block.share[i];
    for (int k = 0; k < 3; ++k) {
      const float code = static_cast<float>(codes[3 * i + k]);
      float value = code + weight * (read[k] - code);
      value = value > 0.0f ? value : 0.0f;
      value = value < job.largest ? value : job.largest;
      output[3 * i + k] = static_cast<Code>((value + 8388608.0f) - 8388608.0f);  // to the nearest, ties to even
    }
  }
}

#if CO2NET_HAS_WIDE

CO2NET_WIDE __m512i load_words(const uint8_t* from, uint32_t lanes) {
  return _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(lanes, from));
}
CO2NET_WIDE __m512i load_words(const uint16_t* from, uint32_t lanes) { return _mm512_maskz_loadu_epi16(lanes, from); }
CO2NET_WIDE void store_words(uint8_t* to, uint32_t lanes, __m512i words) {
  _mm256_mask_storeu_epi8(to, lanes, _mm512_cvtepi16_epi8(words));
}
CO2NET_WIDE void store_words(uint16_t* to, uint32_t lanes, __m512i words) { _mm512_mask_storeu_epi16(to, lanes, words); }

// Sixteen pixels are 48 words, which lie in one register and a half.
struct Words {
  alignas(64) int16_t apart[3][32];  // where channel k of pixel i is: word 3 i + k
  alignas(64) int16_t beside[2][32];  // where word n comes from: channel n % 3 (red and green, blue) of pixel n / 3
};
constexpr Words word_order() {
  Words words{};
  for (int i = 0; i < 32; ++i)
    for (int k = 0; k < 3; ++k) words.apart[k][i] = static_cast<int16_t>(i < 16 ? 3 * i + k : 0);
  for (int n = 0; n < 48; ++n) words.beside[n / 32][n % 32] = static_cast<int16_t>(n % 3 * 16 + n / 3);
  return words;
}
constexpr Words kWords = word_order();

template <class Code>
CO2NET_WIDE void blend_codes_wide(const Blend& block) {
  const Frame& job = *block.frame;
  const int size = block.size;
  const Code* codes = static_cast<const Code*>(job.frame) + 3 * block.pixel;
  Code* output = static_cast<Code*>(job.output) + 3 * block.pixel;
  const __m512 unit = _mm512_set1_ps(1.0f / job.largest);
  Block<float> at;
  alignas(64) float code[3][kBlock];
  for (int i = 0; i < size; i += 16) {
    __m512 colors[3];
    const int words = 3 * (size - i);
    const uint32_t low = words >= 32 ? 0xffffffffu : (1u << words) - 1;
    const uint32_t high = words >= 48 ? 0xffffu : words > 32 ? (1u << (words - 32)) - 1 : 0;
    const __m512i first = load_words(codes + 3 * i, low), second = load_words(codes + 3 * i + 32, high);
    for (int k = 0; k < 3; ++k) {
      const __m512i order = _mm512_load_si512(kWords.apart[k]);
      const __m512i channel = _mm512_permutex2var_epi16(first, order, second);
      const __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(channel)));
      _mm512_store_ps(code[k] + i, value);
      colors[k] = _mm512_mul_ps(value, unit);
    }
    locate_sixteen(colors, job.steps, at, i);
  }
  for (int i = 0; i < size; i += 16) {
    const __m512 part = _mm512_maskz_loadu_ps(lanes(size - i), block.share + i);
    const __mmask16 inside = _mm512_cmp_ps_mask(part, _mm512_setzero_ps(), _CMP_GT_OQ);
    if (!inside) continue;
    const Sixteen read = read_sixteen(job.packed, job.steps.dim, at, i);
    const __m512 weight = _mm512_mul_ps(_mm512_set1_ps(job.strength), part);
    __m256i channel[3];
    for (int k = 0; k < 3; ++k) {
      const __m512 old = _mm512_load_ps(code[k] + i);
      __m512 value = _mm512_add_ps(old, _mm512_mul_ps(weight, _mm512_sub_ps(read.color[k], old)));
      value = _mm512_min_ps(_mm512_max_ps(value, _mm512_setzero_ps()), _mm512_set1_ps(job.largest));
      channel[k] = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(_mm512_mask_mov_ps(old, inside, value)));
    }
    const __m512i rg = _mm512_inserti64x4(_mm512_castsi256_si512(channel[0]), channel[1], 1);
    const __m512i b = _mm512_castsi256_si512(channel[2]);
    const int words = 3 * (size - i);
    const uint32_t low = words >= 32 ? 0xffffffffu : (1u << words) - 1;
    const uint32_t high = words >= 48 ? 0xffffu : words > 32 ? (1u << (words - 32)) - 1 : 0;
    store_words(output + 3 * i, low, _mm512_permutex2var_epi16(rg, _mm512_load_si512(kWords.beside[0]), b));
    store_words(output + 3 * i + 32, high, _mm512_permutex2var_epi16(rg, _mm512_load_si512(kWords.beside[1]), b));
  }
}

CO2NET_WIDE void blend_block_wide(const Blend& block) {
  block.frame->two_bytes ? blend_codes_wide<uint16_t>(block) : blend_codes_wide<uint8_t>(block);
}

#endif

template <bool kEights>
CO2NET_INLINE void blend_block(const Blend& block) {
  block.frame->two_bytes ? blend_codes<uint16_t, kEights>(block) : blend_codes<uint8_t, kEights>(block);
}
CO2NET_VERSIONS_OF(blend_block, blend_block<false>, blend_block<true>, blend_block_wide, Blend)

// Writes the rows begin .. end: a copy, and over it the blocks with something in the mask.
void blend_rows(const Frame& job, int64_t begin, int64_t end, void (*run)(const Blend&)) {
  const int64_t bytes = 3 * job.width * (job.two_bytes ? 2 : 1);
  std::memcpy(static_cast<char*>(job.output) + begin * bytes, static_cast<const char*>(job.frame) + begin * bytes,
              static_cast<size_t>((end - begin) * bytes));
  float share[kBlock];
  for (int64_t row = begin > job.top ? begin : job.top; row < end && row < job.bottom; ++row) {
    for (int64_t column = job.left; column < job.right; column += kBlock) {
      const int size = static_cast<int>(job.right - column < kBlock ? job.right - column : kBlock);
      const int64_t pixel = row * job.width + column;
      if (shares_of(job, pixel, size, share)) run({&job, pixel, size, share});
    }
  }
}

}  // namespace
}  // namespace co2net
