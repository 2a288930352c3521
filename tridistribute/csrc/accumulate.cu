// Building a LUT on a GPU: sums of corner weight x (target, 1), and the gradient. Float32, contiguous.
// The definition is tridistribute/reference.py; arguments arrive checked, sizes and grids come from tridistribute/cuda.py.
//
// Grids are (blocks over the pixels, blocks over the batch). `scale` is (D - 1) / 1.000001.

#include "color_grid.cuh"

using co2net::kBlock;

// source and target (batch, 3, pixels); mask (batch, 1, pixels); sums (batch, dim^3, 4), cleared before.
extern "C" __global__ void __launch_bounds__(kBlock)
    accumulate(const float* __restrict__ source, const float* __restrict__ target, const float* __restrict__ mask,
               double* __restrict__ sums, long long batch, long long pixels, long long dim, double scale) {
  using namespace co2net;
  __shared__ WarpSums::Shared shared[kWarps];
  const int lane = threadIdx.x % kLanes, points = static_cast<int>(dim);
  const int64 cells = dim * dim * dim;
  const Axis axis = split(scale);
  const Span span = span_of_warp(pixels);
  for (int64 item = blockIdx.y; item < batch; item += gridDim.y) {
    WarpSums volume(shared[threadIdx.x / kLanes], sums + item * cells * 4, points);
    for (int64 first = span.begin; first < span.end; first += kLanes) {  // the same for all lanes of a warp
      const int64 pixel = first + lane, place = item * 3 * pixels + pixel;
      bool inside = pixel < span.end && __ldcs(mask + item * pixels + pixel) > 0.5f;  // written so that NaN is out
      float color[3] = {0.0f, 0.0f, 0.0f};
      float4 value = {0.0f, 0.0f, 0.0f, 1.0f};
      if (inside) {
        for (int k = 0; k < 3; ++k) color[k] = __ldcs(source + place + k * pixels);
        value = {__ldcs(target + place), __ldcs(target + place + pixels), __ldcs(target + place + 2 * pixels), 1.0f};
        inside = is_finite(color[0]) && is_finite(color[1]) && is_finite(color[2]);
      }
      Place<float> at;
      locate(color, axis, points, at);
      volume.add(inside, at, value);
    }
    volume.finish();
  }
}

// flow (batch, dim^3) is the gradient of the volume, from pack_cells; grad_source and grad_target (batch, 3, pixels),
// written in full, or null if not needed.
extern "C" __global__ void __launch_bounds__(kBlock)
    accumulate_backward(const float4* __restrict__ flow, const float* __restrict__ source,
                        const float* __restrict__ target, const float* __restrict__ mask,
                        float* __restrict__ grad_source, float* __restrict__ grad_target, long long batch,
                        long long pixels, long long dim, double scale) {
  using namespace co2net;
  const int points = static_cast<int>(dim);
  const int64 cells = dim * dim * dim;
  for (int64 item = blockIdx.y; item < batch; item += gridDim.y) {
    for (int64 pixel = first_index(); pixel < pixels; pixel += index_step()) {
      const int64 place = item * 3 * pixels + pixel;
      float color[3], value[3];
      for (int k = 0; k < 3; ++k) color[k] = source[place + k * pixels];
      for (int k = 0; k < 3; ++k) value[k] = target[place + k * pixels];
      const bool finite = is_finite(color[0]) && is_finite(color[1]) && is_finite(color[2]);
      const bool inside = finite && mask[item * pixels + pixel] > 0.5f;
      Place<double> at;
      locate(color, scale, points, at);
      Reading reading;
      read_sides(flow + item * cells, points, at, reading);
#pragma unroll
      for (int k = 0; k < 3; ++k) {
        if (grad_target != nullptr)
          grad_target[place + k * pixels] = inside ? static_cast<float>(reading.value[k]) : 0.0f;
        if (grad_source == nullptr) continue;
        const double* near = reading.near[k];
        const double* far = reading.far[k];
        const double change = (far[0] - near[0]) * value[0] + (far[1] - near[1]) * value[1] +
                              (far[2] - near[2]) * value[2] + (far[3] - near[3]);
        const double slope = position_slope(color[k], scale);
        grad_source[place + k * pixels] = inside ? static_cast<float>(slope * change) : 0.0f;
      }
    }
  }
}
