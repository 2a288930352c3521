// Applying a LUT on the CPU: the colors, the map of unseen pixels, and the gradient. Float32, contiguous.
// The definition is trilinear/reference.py; arguments arrive checked, see trilinear/cpp.py.

#include <cfloat>

#include "apply_frame.h"
#include "apply_planes.h"
#include "color_grid.h"
#include "packed_lut.h"

namespace co2net {
namespace {

// For gradients: the LUT as cells of (v L, v), v = 0 in empty cells, so one weighted sum gives the numerator and S.
Buffer<float> pack(const float* lut, const float* count, int64_t batch, int64_t cells, int64_t threads) {
  Buffer<float> packed = allocate<float>(batch * cells * 4);
  parallel(batch, useful_threads(batch * cells, threads), [&](int64_t item) {
    const float* from = lut + item * 3 * cells;
    float* to = packed.get() + item * 4 * cells;
    for (int64_t cell = 0; cell < cells; ++cell) {
      const bool filled = !count || count[item * cells + cell] != 0.0f;
      for (int64_t k = 0; k < 3; ++k) to[4 * cell + k] = filled ? from[cell + k * cells] : 0.0f;
      to[4 * cell + 3] = filled ? 1.0f : 0.0f;
    }
  });
  return packed;
}

// ---- forward ----

// Above this an output is written past the caches: the lines that it replaces need not be fetched.
constexpr int64_t kLargeOutput = int64_t{1} << 22;

struct Apply {
  const float *packed, *image;  // of one item, the LUT from pack_lut()
  float* output;
  int64_t plane, begin, end;
  Steps steps;
  bool counted;  // some cells may be empty: divide by S
  bool large;    // the output is
  std::atomic<int>* status;
};

CO2NET_INLINE void apply_pixels(const Apply& job) {
  const int64_t plane = job.plane;
  Block<float> at;
  float sums[kBlock][4];
  bool finite = true;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    // Small weights must keep their digits where they are divided by their sum.
    finite &= job.counted ? locate(job.image + first, plane, size, job.steps.dim, at)
                          : locate_quickly(job.image + first, plane, size, job.steps, at);
    for (int i = 0; i < size; ++i) store(sums[i], read_pixel<false>(job.packed, job.steps.dim, at, i));
    float* output = job.output + first;
    if (job.counted) {
      for (int i = 0; i < size; ++i) {
        const bool known = sums[i][3] >= FLT_MIN;
        const float divisor = known ? sums[i][3] : 1.0f;
        output[i] = known ? sums[i][0] / divisor : 0.0f;
        output[i + plane] = known ? sums[i][1] / divisor : 0.0f;
        output[i + 2 * plane] = known ? sums[i][2] / divisor : 0.0f;
      }
    } else {
      for (int i = 0; i < size; ++i) {
        output[i] = sums[i][0];
        output[i + plane] = sums[i][1];
        output[i + 2 * plane] = sums[i][2];
      }
    }
  }
  if (!finite) *job.status = kNotFinite;
}

// Whether all of a job's pixels can be written past the caches.
CO2NET_INLINE bool past_caches_all(const Apply& job) {
  return job.large && (reinterpret_cast<uintptr_t>(job.output) | (4 * static_cast<uint64_t>(job.plane)) |
                       (4 * static_cast<uint64_t>(job.begin))) % kLine == 0;
}

#if CO2NET_HAS_WIDE
// The colors of the pixels i .. i + 7 of a block; 0 where no filled cell is near.
CO2NET_AVX2 Eight read_colors(const Apply& job, const Block<float>& at, int i) {
  Eight read = read_eight(job.packed, job.steps.dim, at, i);
  if (job.counted) {
    const __m256 known = _mm256_cmp_ps(read.weight, _mm256_set1_ps(FLT_MIN), _CMP_GE_OQ);
    const __m256 divisor = _mm256_blendv_ps(_mm256_set1_ps(1.0f), read.weight, known);
    for (__m256& color : read.color) color = _mm256_and_ps(_mm256_div_ps(color, divisor), known);
  }
  return read;
}

CO2NET_AVX2 void apply_pixels_eights(const Apply& job) {
  const int64_t plane = job.plane;
  const bool past_caches = past_caches_all(job);
  Block<float> at;
  bool finite = true;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    if (!job.counted && size == kBlock) {
      __m256i largest = _mm256_setzero_si256();
      for (int i = 0; i < size; i += 8) {
        __m256 colors[3];
        for (int k = 0; k < 3; ++k) colors[k] = _mm256_loadu_ps(job.image + k * plane + first + i);
        largest = _mm256_max_epu32(largest, locate_eight(colors, job.steps, at, i));
      }
      finite &= all_finite(largest);
    } else {
      finite &= job.counted ? locate(job.image + first, plane, size, job.steps.dim, at)
                            : locate_quickly(job.image + first, plane, size, job.steps, at);
      fill_up(at, size);
    }
    for (int i = 0; i < size; i += 16) {
      for (int k = 0; k < 3; ++k) CO2NET_PREFETCH(job.image + k * plane + first + i + 2 * kBlock);
      const Eight halves[2] = {read_colors(job, at, i), read_colors(job, at, i + 8)};
      float* output = job.output + first + i;
      for (int k = 0; k < 3; ++k) {  // a whole line of a plane at a time: halves of three lines in turn would be slow
        const __m256 line[2] = {halves[0].color[k], halves[1].color[k]};
        float* to = output + k * plane;
        if (size - i < 16) {
          std::memcpy(to, line, sizeof(float) * static_cast<size_t>(size - i));
        } else if (past_caches) {
          _mm256_stream_ps(to, line[0]);
          _mm256_stream_ps(to + 8, line[1]);
        } else {
          _mm256_storeu_ps(to, line[0]);
          _mm256_storeu_ps(to + 8, line[1]);
        }
      }
    }
  }
  if (past_caches) _mm_sfence();  // other threads see the output once this one is joined
  if (!finite) *job.status = kNotFinite;
}

CO2NET_WIDE void apply_pixels_wide(const Apply& job) {
  const int64_t plane = job.plane;
  const bool past_caches = past_caches_all(job);
  Block<float> at;
  bool finite = true;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    if (job.counted) {
      finite &= locate(job.image + first, plane, size, job.steps.dim, at);
      fill_up(at, size);
    } else {
      for (int i = 0; i < size; i += 16) {
        __m512 colors[3];
        for (int k = 0; k < 3; ++k)
          colors[k] = _mm512_maskz_loadu_ps(lanes(size - i), job.image + k * plane + first + i);
        finite &= locate_sixteen(colors, job.steps, at, i) == 0;
      }
    }
    for (int i = 0; i < size; i += 16) {
      // Three planes far apart are more than some processors fetch ahead by themselves.
      for (int k = 0; k < 3; ++k) CO2NET_PREFETCH(job.image + k * plane + first + i + 2 * kBlock);
      Sixteen read = read_sixteen(job.packed, job.steps.dim, at, i);
      if (job.counted) {
        const __mmask16 known = _mm512_cmp_ps_mask(read.weight, _mm512_set1_ps(FLT_MIN), _CMP_GE_OQ);
        for (__m512& color : read.color) color = _mm512_maskz_div_ps(known, color, read.weight);
      }
      float* output = job.output + first + i;
      for (int k = 0; k < 3; ++k) {
        if (past_caches && size - i >= 16) {
          _mm512_stream_ps(output + k * plane, read.color[k]);
        } else {
          _mm512_mask_storeu_ps(output + k * plane, lanes(size - i), read.color[k]);
        }
      }
    }
  }
  if (past_caches) _mm_sfence();  // other threads see the output once this one is joined
  if (!finite) *job.status = kNotFinite;
}
#endif
CO2NET_VERSIONS_OF(apply_pixels, apply_pixels, apply_pixels_eights, apply_pixels_wide, Apply)

// ---- gradient ----

struct ApplyBackward {
  const float *grad, *cells, *image;  // of one item
  float* grad_image;                  // may be null
  double* volume;                     // sums for the gradient of the LUT, may be null
  int64_t plane, begin, end;
  int dim;
  bool counted;
};

CO2NET_INLINE void apply_backward_pixels(const ApplyBackward& job) {
  const int64_t plane = job.plane, row = 4 * static_cast<int64_t>(job.dim), slab = row * job.dim;
  Block<double> at;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    locate(job.image + first, plane, size, job.dim, at);
    for (int i = 0; i < size; ++i) {
      const float *grad = job.grad + first + i, *color = job.image + first + i;
      const Reading reading = read_sides(job.cells, row, slab, at, i);
      const double weight = job.counted ? reading.value[3] : 1.0;
      const bool known = static_cast<float>(weight) >= FLT_MIN;
      const double divisor = known ? weight : 1.0;
      double flow[3];
      for (int k = 0; k < 3; ++k) flow[k] = known ? grad[k * plane] / divisor : 0.0;
      for (int k = 0; k < 3 && job.grad_image; ++k) {
        // The derivative of the quotient, (far numerator x near S - near numerator x far S) / S^2: where one side is
        // empty it is exactly 0, while in the textbook form terms of 1 / S would have to cancel.
        const D4 near = reading.near[k], far = reading.far[k];
        const double near_weight = job.counted ? near[3] / divisor : 1.0;
        const double far_weight = job.counted ? far[3] / divisor : 1.0;
        double change = 0.0;
        for (int channel = 0; channel < 3; ++channel)
          change += flow[channel] * (far[channel] * near_weight - near[channel] * far_weight);
        const double scale = position_slope(color[k * plane], job.dim);
        job.grad_image[first + i + k * plane] = known ? static_cast<float>(scale * change) : 0.0f;
      }
      if (job.volume && known) {
        const F4 value = {static_cast<float>(flow[0]), static_cast<float>(flow[1]), static_cast<float>(flow[2]), 0.0f};
        add_to_corners(job.volume, row, slab, at, i, value);
      }
    }
  }
}
CO2NET_VERSIONS(apply_backward_pixels, ApplyBackward)

// ---- the map of unseen pixels ----

// Which of the eight corners of each cell are filled, one bit each. Most cells of a real LUT are all or nothing, so
// one byte per pixel (36 KB for the LUT, not 575 KB) mostly settles it.
void filled_corners(const float* count, int64_t dim, uint8_t* bits) {
  for (int64_t b = 0; b + 1 < dim; ++b)
    for (int64_t g = 0; g + 1 < dim; ++g)
      for (int64_t r = 0; r + 1 < dim; ++r) {
        const int64_t near = r + dim * (g + dim * b);
        bits[near] = 0;
        for (int corner = 0; corner < 8; ++corner) {
          const int64_t cell = near + (corner & 1) + dim * ((corner >> 1 & 1) + dim * (corner >> 2));
          bits[near] |= static_cast<uint8_t>((count[cell] != 0.0f) << corner);
        }
      }
}

struct Unseen {
  const uint8_t* bits;  // of one item
  const float* image;
  float* output;
  int64_t plane, begin, end;
  int dim;
  bool all_empty;
  std::atomic<int>* status;
};

CO2NET_INLINE void unseen_pixels(const Unseen& job) {
  Block<float> at;
  bool finite = true;
  for (int64_t first = job.begin; first < job.end; first += kBlock) {
    const int size = static_cast<int>(job.end - first < kBlock ? job.end - first : kBlock);
    finite &= locate(job.image + first, job.plane, size, job.dim, at);
    for (int i = 0; i < size; ++i) {
      const uint8_t bits = job.bits[at.cell[i]];
      bool unseen = bits == 0;
      if (bits != 0 && bits != 255 && !job.all_empty) {
        float weight = 0.0f;
        for (int corner = 0; corner < 8; ++corner) {
          if (!(bits >> corner & 1)) continue;
          const float r = corner & 1 ? at.far[0][i] : at.near[0][i];
          const float g = corner >> 1 & 1 ? at.far[1][i] : at.near[1][i];
          const float b = corner >> 2 ? at.far[2][i] : at.near[2][i];
          weight += (g * b) * r;
        }
        unseen = weight < FLT_MIN;
      }
      job.output[first + i] = unseen ? 1.0f : 0.0f;
    }
  }
  if (!finite) *job.status = kNotFinite;
}
CO2NET_VERSIONS(unseen_pixels, Unseen)

}  // namespace
}  // namespace co2net

using namespace co2net;

// lut (batch, 3, dim^3); count (batch, dim^3) or null; image and output (batch, 3, pixels).
CO2NET_API int co2net_apply_lut(const float* lut, const float* count, const float* image, float* output, int64_t batch,
                                int64_t pixels, int64_t dim, int64_t threads) try {
  std::atomic<int> status{kDone};
  const int64_t cells = dim * dim * dim;
  const Buffer<float> packed = pack_lut(lut, count, batch, dim, 1.0f, threads);
  const Steps steps(static_cast<int>(dim));
  const bool large = 3 * static_cast<int64_t>(sizeof(float)) * batch * pixels > kLargeOutput;
  const auto run = apply_pixels_best();
  parallel_pixels(batch, pixels, threads, [&](int64_t item, int64_t begin, int64_t end) {
    const int64_t colors = item * 3 * pixels;
    run({packed.get() + item * cells * kCell, image + colors, output + colors, pixels, begin, end, steps,
         count != nullptr, large, &status});
  });
  return status;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}

// frame and output (height, width, 3), codes of two bytes or one; lut (3, dim^3); mask (height, width) of a MaskKind, or
// null. Only the rows top .. bottom and columns left .. right are looked at.
CO2NET_API int co2net_apply_lut_frame(const float* lut, const void* frame, const void* mask, const float* strength,
                                      void* output, int64_t height, int64_t width, int64_t dim, int64_t two_bytes,
                                      int64_t mask_kind, int64_t top, int64_t bottom, int64_t left, int64_t right,
                                      int64_t threads) try {
  const float largest = two_bytes ? 65535.0f : 255.0f;
  const Buffer<float> packed = pack_lut(lut, nullptr, 1, dim, largest, threads);
  const Frame job{packed.get(), frame, mask, output, width, top, bottom, left, right, Steps(static_cast<int>(dim)),
                  *strength, largest, two_bytes != 0, static_cast<int>(mask_kind)};
  const auto run = blend_block_best();
  const int64_t band = 1 + kPixelsPerThread / (width > 0 ? width : 1);
  parallel((height + band - 1) / band, useful_threads(height * width, threads), [&](int64_t number) {
    const int64_t begin = number * band;
    blend_rows(job, begin, begin + band < height ? begin + band : height, run);
  });
  return kDone;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}

// Whole planes of 8 bits (height, width) and their chroma, each with its stride in bytes, and those laid over them (or
// null); lut (3, dim^3). The mask and the outputs are of the box; the mask is codes with a table of 256 values, or floats.
// settings: 3 x 4 from codes to RGB, 3 x 3 back, the strength, 3 x 4 for what is laid over.
CO2NET_API int co2net_apply_lut_planes(const float* lut, const uint8_t* luma, const uint8_t* u, const uint8_t* v,
                                       int64_t luma_stride, int64_t u_stride, int64_t v_stride,
                                       const uint8_t* front_luma, const uint8_t* front_u, const uint8_t* front_v,
                                       int64_t front_luma_stride, int64_t front_u_stride, int64_t front_v_stride,
                                       const void* mask, int64_t mask_stride, const float* table,
                                       const float* settings, uint8_t* luma_output, uint8_t* u_output,
                                       uint8_t* v_output, int64_t height, int64_t width, int64_t dim,
                                       int64_t shift_x, int64_t shift_y, int64_t top, int64_t bottom, int64_t left,
                                       int64_t right, int64_t threads) try {
  const Buffer<float> packed = pack_lut(lut, nullptr, 1, dim, 255.0f, threads);
  Planes job{packed.get(), {luma, u, v}, {front_luma, front_u, front_v}, mask, table,
             {luma_output, u_output, v_output}, {luma_stride, u_stride, v_stride},
             {front_luma_stride, front_u_stride, front_v_stride}, mask_stride, height, width, top, bottom, left, right,
             static_cast<int>(shift_x), static_cast<int>(shift_y), {}, {}, {}, settings[21],
             Steps(static_cast<int>(dim))};
  std::memcpy(job.to_rgb, settings, sizeof job.to_rgb);
  std::memcpy(job.from_rgb, settings + 12, sizeof job.from_rgb);
  std::memcpy(job.front_to_rgb, settings + 22, sizeof job.front_to_rgb);
  const auto run = change_strip_best();
  const int64_t step = int64_t{1} << shift_y, strips = (bottom - top + step - 1) / step;
  parallel(strips, useful_threads((bottom - top) * (right - left), threads),
           [&](int64_t number) { run({&job, top + number * step}); });
  return kDone;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}

// Shapes as above; grad_lut and grad_image are written in full, or null if not needed.
CO2NET_API int co2net_apply_lut_backward(const float* grad, const float* lut, const float* count, const float* image,
                                         float* grad_lut, float* grad_image, int64_t batch, int64_t pixels, int64_t dim,
                                         int64_t threads) try {
  const int64_t cells = dim * dim * dim;
  const Buffer<float> packed = pack(lut, count, batch, cells, threads);
  const auto run = apply_backward_pixels_best();
  const auto fill = [&](int64_t item, int64_t begin, int64_t end, double* volume) {
    const int64_t colors = item * 3 * pixels;
    run({grad + colors, packed.get() + item * 4 * cells, image + colors, grad_image ? grad_image + colors : nullptr,
         volume, pixels, begin, end, static_cast<int>(dim), count != nullptr});
  };
  const auto write = [&](int64_t item, int64_t begin, int64_t end, const double* sums) {
    for (int64_t k = 0; k < 3; ++k) {
      float* out = grad_lut + (item * 3 + k) * cells;
      for (int64_t cell = begin; cell < end; ++cell) {
        const bool filled = packed[(item * cells + cell) * 4 + 3] != 0.0f;
        out[cell] = filled ? static_cast<float>(sums[4 * cell + k]) : 0.0f;
      }
    }
  };
  if (grad_lut) {
    sum_per_cell(batch, pixels, cells, threads, fill, write);
  } else {
    parallel_pixels(batch, pixels, threads,
                    [&](int64_t item, int64_t begin, int64_t end) { fill(item, begin, end, nullptr); });
  }
  return kDone;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}

// count (batch, dim^3); image (batch, 3, pixels); output (batch, 1, pixels), 1 where nothing is known.
CO2NET_API int co2net_unseen_map(const float* count, const float* image, float* output, int64_t batch, int64_t pixels,
                                 int64_t dim, int64_t all_empty, int64_t threads) try {
  std::atomic<int> status{kDone};
  const int64_t cells = dim * dim * dim;
  const Buffer<uint8_t> bits = allocate<uint8_t>(batch * cells);
  for (int64_t item = 0; item < batch; ++item) filled_corners(count + item * cells, dim, bits.get() + item * cells);
  const auto run = unseen_pixels_best();
  parallel_pixels(batch, pixels, threads, [&](int64_t item, int64_t begin, int64_t end) {
    run({bits.get() + item * cells, image + item * 3 * pixels, output + item * pixels, pixels, begin, end,
         static_cast<int>(dim), all_empty != 0, &status});
  });
  return status;
} catch (const std::bad_alloc&) {
  return kNoMemory;
}
