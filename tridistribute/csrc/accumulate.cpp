// Writing a color table on the CPU: sums of corner weight x (target, 1), and the gradient. Float32, contiguous.
// The definition is tridistribute/reference.py; arguments arrive checked, see tridistribute/cpp.py.

#include "color_grid.h"

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
CO2NET_VERSIONS(accumulate_pixels, Accumulate)

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
