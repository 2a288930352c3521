// Building a LUT on the CPU: sums of corner weight x (target, 1), and the gradient. Float32, contiguous.
// The definition is tridistribute/reference.py; arguments arrive checked, see tridistribute/cpp.py.

#include "color_grid.h"

#if CO2NET_HAS_WIDE
#include <immintrin.h>
#endif

namespace co2net {
namespace {

struct Image {
  const float *source, *target, *mask;  // of one item
  int64_t plane;                        // pixels of the item
  int dim;
};

// ---- forward ----

struct Accumulate {
  Image image;
  int64_t begin, end;
  double* volume;
  std::atomic<int>* status;
};

CO2NET_INLINE void accumulate_pixels(const Accumulate& job) {
  const Image& image = job.image;
  const int64_t plane = image.plane, row = 4 * static_cast<int64_t>(image.dim), slab = row * image.dim;
  Block<float> at;
  bool finite = true;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    const float *target = image.target + first, *mask = image.mask + first;
    finite &= locate(image.source + first, plane, size, image.dim, at);
    for (int i = 0; i < size; ++i) {
      if (!(mask[i] > 0.5f)) continue;  // written so that NaN is out
      add_to_corners(job.volume, row, slab, at, i, F4{target[i], target[i + plane], target[i + 2 * plane], 1.0f});
    }
  }
  if (!finite) *job.status = kNotFinite;
}

#if CO2NET_HAS_WIDE
// The values of a block's pixels: target and 1, one pixel after the other.
CO2NET_WIDE void gather_values(const float* target, int64_t plane, int size, float (*values)[4]) {
  const __m512i rg = _mm512_setr_epi32(0, 16, 0, 0, 1, 17, 0, 0, 2, 18, 0, 0, 3, 19, 0, 0);
  const __m512i b = _mm512_setr_epi32(0, 1, 16, 3, 4, 5, 17, 7, 8, 9, 18, 11, 12, 13, 19, 15);
  const __m512i next = _mm512_setr_epi32(4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0, 0);
  const __m512i next_b = _mm512_setr_epi32(0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0);
  for (int i = 0; i < size; i += 16) {
    const __mmask16 some = lanes(size - i);
    const __m512 red = _mm512_maskz_loadu_ps(some, target + i), green = _mm512_maskz_loadu_ps(some, target + plane + i);
    const __m512 blue = _mm512_maskz_loadu_ps(some, target + 2 * plane + i);
    __m512i of_rg = rg, of_b = b;
    for (int q = 0; q < 4; ++q) {
      const __m512 pixels = _mm512_permutex2var_ps(_mm512_permutex2var_ps(red, of_rg, green), of_b, blue);
      _mm512_storeu_ps(values[i + 4 * q], _mm512_mask_mov_ps(pixels, 0x8888, _mm512_set1_ps(1.0f)));
      of_rg = _mm512_add_epi32(of_rg, next);
      of_b = _mm512_add_epi32(of_b, next_b);
    }
  }
}

CO2NET_WIDE void add_wide(double* to, __m256 pair, float weight) {
  const __m512d more = _mm512_cvtps_pd(_mm256_mul_ps(_mm256_set1_ps(weight), pair));
  // Two halves: neighbors along red share one, and a load of what was just stored waits if it is not all of it.
  _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), _mm512_castpd512_pd256(more)));
  _mm256_storeu_pd(to + 4, _mm256_add_pd(_mm256_loadu_pd(to + 4), _mm512_extractf64x4_pd(more, 1)));
}

CO2NET_WIDE void accumulate_pixels_wide(const Accumulate& job) {
  const Image& image = job.image;
  const int64_t plane = image.plane, row = 4 * static_cast<int64_t>(image.dim), slab = row * image.dim;
  Block<float> at;
  alignas(kLine) float values[kBlock][4];
  alignas(kLine) float side[4][kBlock];  // weights along green and blue: near near, far near, near far, far far
  bool finite = true;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    const float* mask = image.mask + first;
    for (int64_t ahead = first + 2 * kBlock; ahead < first + 3 * kBlock; ahead += kLine / sizeof(float)) {
      for (int k = 0; k < 3; ++k) {
        CO2NET_PREFETCH(image.source + k * plane + ahead);
        CO2NET_PREFETCH(image.target + k * plane + ahead);
      }
      CO2NET_PREFETCH(image.mask + ahead);
    }
    finite &= locate(image.source + first, plane, size, image.dim, at);
    gather_values(image.target + first, plane, size, values);
    for (int i = 0; i < size; ++i) {
      side[0][i] = at.near[1][i] * at.near[2][i];
      side[1][i] = at.far[1][i] * at.near[2][i];
      side[2][i] = at.near[1][i] * at.far[2][i];
      side[3][i] = at.far[1][i] * at.far[2][i];
    }
    for (int i = 0; i < size; ++i) {
      if (!(mask[i] > 0.5f)) continue;  // written so that NaN is out
      const __m256 red = _mm256_mask_mov_ps(_mm256_set1_ps(at.near[0][i]), 0xf0, _mm256_set1_ps(at.far[0][i]));
      const __m256 pair = _mm256_mul_ps(red, _mm256_broadcast_ps(reinterpret_cast<const __m128*>(values[i])));
      double* corner = job.volume + 4 * static_cast<int64_t>(at.cell[i]);
      add_wide(corner, pair, side[0][i]);
      add_wide(corner + row, pair, side[1][i]);
      add_wide(corner + slab, pair, side[2][i]);
      add_wide(corner + slab + row, pair, side[3][i]);
    }
  }
  if (!finite) *job.status = kNotFinite;
}
#endif
CO2NET_VERSIONS_OF(accumulate_pixels, accumulate_pixels, accumulate_pixels, accumulate_pixels_wide, Accumulate)

// ---- gradient ----

struct AccumulateBackward {
  Image image;
  int64_t begin, end;
  const float* flow;  // gradient of the volume, 4 floats per cell
  float *grad_source, *grad_target;
};

CO2NET_INLINE void accumulate_backward_pixels(const AccumulateBackward& job) {
  const Image& image = job.image;
  const int64_t plane = image.plane, row = 4 * static_cast<int64_t>(image.dim), slab = row * image.dim;
  Block<double> at;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    locate(image.source + first, plane, size, image.dim, at);
    for (int i = 0; i < size; ++i) {
      const int64_t pixel = first + i;
      const bool inside = image.mask[pixel] > 0.5f;
      Reading reading{};
      if (inside) reading = read_sides(job.flow, row, slab, at, i);
      const float* target = image.target + pixel;
      for (int k = 0; k < 3; ++k) {
        if (job.grad_target) job.grad_target[pixel + k * plane] = static_cast<float>(reading.value[k]);
        if (!job.grad_source) continue;
        const D4 slope = reading.far[k] - reading.near[k];
        const double change = slope[0] * target[0] + slope[1] * target[plane] + slope[2] * target[2 * plane] + slope[3];
        const double scale = position_slope(image.source[pixel + k * plane], image.dim);
        job.grad_source[pixel + k * plane] = inside ? static_cast<float>(scale * change) : 0.0f;
      }
    }
  }
}
CO2NET_VERSIONS(accumulate_backward_pixels, AccumulateBackward)

}  // namespace
}  // namespace co2net

using namespace co2net;

// source, target (batch, 3, pixels); mask (batch, 1, pixels); volume (batch, 4, dim^3), written in full.
CO2NET_API int co2net_accumulate(const float* source, const float* target, const float* mask, float* volume,
                                 int64_t batch, int64_t pixels, int64_t dim, int64_t threads) try {
  std::atomic<int> status{kDone};
  const int64_t cells = dim * dim * dim;
  const auto run = accumulate_pixels_best();
  const auto fill = [&](int64_t item, int64_t begin, int64_t end, double* sums) {
    const int64_t colors = item * 3 * pixels;
    const Image image{source + colors, target + colors, mask + item * pixels, pixels, static_cast<int>(dim)};
    run({image, begin, end, sums, &status});
  };
  const auto write = [&](int64_t item, int64_t begin, int64_t end, const double* sums) {
    for (int64_t k = 0; k < 4; ++k) {
      float* out = volume + (item * 4 + k) * cells;
      for (int64_t cell = begin; cell < end; ++cell) out[cell] = static_cast<float>(sums[4 * cell + k]);
    }
  };
  sum_per_cell(batch, pixels, cells, threads, fill, write);
  return status;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}

// grad (batch, 4, dim^3); grad_source and grad_target (batch, 3, pixels), written in full, or null if not needed.
CO2NET_API int co2net_accumulate_backward(const float* grad, const float* source, const float* target,
                                          const float* mask, float* grad_source, float* grad_target, int64_t batch,
                                          int64_t pixels, int64_t dim, int64_t threads) try {
  const int64_t cells = dim * dim * dim;
  const Buffer<float> flow = allocate<float>(batch * cells * 4);
  parallel(batch, useful_threads(batch * cells, threads), [&](int64_t item) {
    const float* from = grad + item * 4 * cells;
    float* to = flow.get() + item * 4 * cells;
    for (int64_t cell = 0; cell < cells; ++cell)
      for (int64_t k = 0; k < 4; ++k) to[4 * cell + k] = from[cell + k * cells];
  });
  const auto run = accumulate_backward_pixels_best();
  parallel_pixels(batch, pixels, threads, [&](int64_t item, int64_t begin, int64_t end) {
    const int64_t colors = item * 3 * pixels;
    const Image image{source + colors, target + colors, mask + item * pixels, pixels, static_cast<int>(dim)};
    run({image, begin, end, flow.get() + item * 4 * cells, grad_source ? grad_source + colors : nullptr,
         grad_target ? grad_target + colors : nullptr});
  });
  return kDone;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}
