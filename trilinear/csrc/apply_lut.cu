// Applying a LUT on a GPU: the colors, the map of unseen pixels, and the gradient. Float32, contiguous.
// The definition is trilinear/reference.py; arguments arrive checked, sizes and grids come from trilinear/cuda.py.
//
// Grids are (blocks over the pixels, blocks over the batch). `scale` is (D - 1) / 1.000001.

#include "color_grid.cuh"

namespace co2net {

// ---- one pixel or four at a time ----

__device__ __forceinline__ void load(const float* from, float (&to)[1]) { to[0] = __ldcs(from); }
__device__ __forceinline__ void load(const float* from, float (&to)[4]) {
  const float4 v = __ldcs(reinterpret_cast<const float4*>(from));
  to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}
__device__ __forceinline__ void store(float* to, const float (&from)[1]) { __stcs(to, from[0]); }
__device__ __forceinline__ void store(float* to, const float (&from)[4]) {
  __stcs(reinterpret_cast<float4*>(to), float4{from[0], from[1], from[2], from[3]});
}

__device__ __forceinline__ void add(float4& sum, float weight, float4 value) {
  sum.x += weight * value.x;
  sum.y += weight * value.y;
  sum.z += weight * value.z;
  sum.w += weight * value.w;
}

// Sum of weight x cell over the eight corners.
__device__ __forceinline__ float4 read(const float4* cells, int dim, const Place<float>& at) {
  const float4* corner = cells + at.cell(dim);
  const float4 *row = corner + dim, *slab = corner + dim * dim, *last = slab + dim;
  const float w00 = at.near[1] * at.near[2], w10 = at.far[1] * at.near[2];
  const float w01 = at.near[1] * at.far[2], w11 = at.far[1] * at.far[2];
  float4 near = {0.0f, 0.0f, 0.0f, 0.0f}, far = near, sum = near;
  add(near, w00, __ldg(corner));
  add(far, w00, __ldg(corner + 1));
  add(near, w10, __ldg(row));
  add(far, w10, __ldg(row + 1));
  add(near, w01, __ldg(slab));
  add(far, w01, __ldg(slab + 1));
  add(near, w11, __ldg(last));
  add(far, w11, __ldg(last + 1));
  add(sum, at.near[0], near);
  add(sum, at.far[0], far);
  return sum;
}

template <int kVector>
__device__ __forceinline__ void apply(const float4* __restrict__ packed, const float* __restrict__ image,
                                      float* __restrict__ output, int64 batch, int64 pixels, int dim, double scale,
                                      bool counted) {
  const Axis axis = split(scale);
  const int64 cells = static_cast<int64>(dim) * dim * dim, groups = pixels / kVector;
  for (int64 item = blockIdx.y; item < batch; item += gridDim.y) {
    for (int64 group = first_index(); group < groups; group += index_step()) {
      const float* from = image + item * 3 * pixels + group * kVector;
      float color[3][kVector];
#pragma unroll
      for (int k = 0; k < 3; ++k) load(from + k * pixels, color[k]);
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float here[3] = {color[0][i], color[1][i], color[2][i]};
        Place<float> at;
        locate(here, axis, dim, at);
        const float4 sum = read(packed + item * cells, dim, at);
        const bool known = !counted || sum.w >= kSmallest;
        const bool finite = is_finite(here[0]) && is_finite(here[1]) && is_finite(here[2]);
        const float divisor = counted && known ? sum.w : 1.0f;
        color[0][i] = !finite ? not_a_number() : known ? sum.x / divisor : 0.0f;
        color[1][i] = !finite ? not_a_number() : known ? sum.y / divisor : 0.0f;
        color[2][i] = !finite ? not_a_number() : known ? sum.z / divisor : 0.0f;
      }
      float* to = output + item * 3 * pixels + group * kVector;
#pragma unroll
      for (int k = 0; k < 3; ++k) store(to + k * pixels, color[k]);
    }
  }
}

// S over the filled corners of a cell, whose bits are set.
__device__ __forceinline__ float filled_weight(unsigned bits, const Place<float>& at) {
  float sum = 0.0f;
#pragma unroll
  for (int corner = 0; corner < 8; ++corner) {
    const float r = corner & 1 ? at.far[0] : at.near[0];
    const float g = corner >> 1 & 1 ? at.far[1] : at.near[1];
    const float b = corner >> 2 ? at.far[2] : at.near[2];
    if (bits >> corner & 1) sum += (g * b) * r;
  }
  return sum;
}

template <int kVector>
__device__ __forceinline__ void unseen(const unsigned char* __restrict__ filled, const float* __restrict__ image,
                                       float* __restrict__ output, int64 batch, int64 pixels, int dim, double scale,
                                       bool all_empty) {
  const Axis axis = split(scale);
  const int64 cells = static_cast<int64>(dim) * dim * dim, groups = pixels / kVector;
  for (int64 item = blockIdx.y; item < batch; item += gridDim.y) {
    for (int64 group = first_index(); group < groups; group += index_step()) {
      const float* from = image + item * 3 * pixels + group * kVector;
      float color[3][kVector], result[kVector];
#pragma unroll
      for (int k = 0; k < 3; ++k) load(from + k * pixels, color[k]);
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float here[3] = {color[0][i], color[1][i], color[2][i]};
        Place<float> at;
        locate(here, axis, dim, at);
        const unsigned bits = __ldg(filled + item * cells + at.cell(dim));
        const bool seen = all_empty ? bits != 0 : bits == 255 || filled_weight(bits, at) >= kSmallest;
        const bool finite = is_finite(here[0]) && is_finite(here[1]) && is_finite(here[2]);
        result[i] = !finite ? not_a_number() : seen ? 0.0f : 1.0f;
      }
      store(output + item * pixels + group * kVector, result);
    }
  }
}

}  // namespace co2net

using co2net::kBlock;

// ---- forward ----

// packed (batch, dim^3) from pack_cells; image and output (batch, 3, pixels).
extern "C" __global__ void __launch_bounds__(kBlock)
    apply_lut(const float4* packed, const float* image, float* output, long long batch, long long pixels, long long dim,
              double scale, long long counted) {
  co2net::apply<1>(packed, image, output, batch, pixels, static_cast<int>(dim), scale, counted != 0);
}

// The same for a number of pixels that 4 divides, image and output aligned to 16 bytes.
extern "C" __global__ void __launch_bounds__(kBlock)
    apply_lut_by_four(const float4* packed, const float* image, float* output, long long batch, long long pixels,
                      long long dim, double scale, long long counted) {
  co2net::apply<4>(packed, image, output, batch, pixels, static_cast<int>(dim), scale, counted != 0);
}

// ---- the map of unseen pixels ----

// count (batch, dim^3) -> filled (batch, dim^3): which of the eight corners of each cell are filled, one bit each. One
// byte per pixel (36 KB for the LUT, not 575 KB) then mostly settles it. Cells beyond the last on an axis: 0.
extern "C" __global__ void __launch_bounds__(kBlock)
    filled_corners(const float* __restrict__ count, unsigned char* __restrict__ filled, long long batch,
                   long long dim) {
  const long long cells = dim * dim * dim;
  for (long long item = blockIdx.y; item < batch; item += gridDim.y) {
    const float* of_item = count + item * cells;
    for (long long cell = co2net::first_index(); cell < cells; cell += co2net::index_step()) {
      const long long r = cell % dim, g = cell / dim % dim, b = cell / (dim * dim);
      unsigned bits = 0;
      if (r + 1 < dim && g + 1 < dim && b + 1 < dim)
        for (int corner = 0; corner < 8; ++corner) {
          const long long other = cell + (corner & 1) + dim * ((corner >> 1 & 1) + dim * (corner >> 2));
          bits |= static_cast<unsigned>(of_item[other] != 0.0f) << corner;
        }
      filled[item * cells + cell] = static_cast<unsigned char>(bits);
    }
  }
}

// image (batch, 3, pixels); output (batch, pixels), 1 where nothing is known.
extern "C" __global__ void __launch_bounds__(kBlock)
    unseen_map(const unsigned char* filled, const float* image, float* output, long long batch, long long pixels,
               long long dim, double scale, long long all_empty) {
  co2net::unseen<1>(filled, image, output, batch, pixels, static_cast<int>(dim), scale, all_empty != 0);
}

// The same for a number of pixels that 4 divides, image and output aligned to 16 bytes.
extern "C" __global__ void __launch_bounds__(kBlock)
    unseen_map_by_four(const unsigned char* filled, const float* image, float* output, long long batch,
                       long long pixels, long long dim, double scale, long long all_empty) {
  co2net::unseen<4>(filled, image, output, batch, pixels, static_cast<int>(dim), scale, all_empty != 0);
}

// ---- gradient ----

// grad, image and grad_image (batch, 3, pixels); sums (batch, dim^3, 4), cleared before, becomes the gradient of the
// LUT. Either result may be null.
extern "C" __global__ void __launch_bounds__(kBlock)
    apply_lut_backward(const float* __restrict__ grad, const float4* __restrict__ packed,
                       const float* __restrict__ image, float* __restrict__ grad_image, double* __restrict__ sums,
                       long long batch, long long pixels, long long dim, double scale, long long counted) {
  using namespace co2net;
  __shared__ WarpSums::Shared shared[kWarps];
  const int lane = threadIdx.x % kLanes, points = static_cast<int>(dim);
  const int64 cells = dim * dim * dim;
  const Axis axis = split(scale);
  const Span span = span_of_warp(pixels);
  for (int64 item = blockIdx.y; item < batch; item += gridDim.y) {
    const float4* own = packed + item * cells;
    WarpSums lut_sums(shared[threadIdx.x / kLanes], sums == nullptr ? nullptr : sums + item * cells * 4, points);
    for (int64 first = span.begin; first < span.end; first += kLanes) {  // the same for all lanes of a warp
      const int64 pixel = first + lane, place = item * 3 * pixels + pixel;
      const bool inside = pixel < span.end;
      float color[3] = {0.0f, 0.0f, 0.0f};
      for (int k = 0; k < 3 && inside; ++k) color[k] = image[place + k * pixels];
      const bool finite = is_finite(color[0]) && is_finite(color[1]) && is_finite(color[2]);
      Place<double> at;
      locate(color, scale, points, at);
      Reading reading;
      read_sides(own, points, at, reading);
      const double weight = counted ? reading.value[3] : 1.0;
      const bool known = inside && finite && static_cast<float>(weight) >= kSmallest;
      const double divisor = known ? weight : 1.0;
      double flow[3];
      for (int k = 0; k < 3; ++k) flow[k] = known ? grad[place + k * pixels] / divisor : 0.0;
      if (grad_image != nullptr && inside) {
#pragma unroll
        for (int k = 0; k < 3; ++k) {
          // The derivative of the quotient, (far numerator x near S - near numerator x far S) / S^2: where one side is
          // empty it is exactly 0, while in the textbook form terms of 1 / S would have to cancel.
          const double* near = reading.near[k];
          const double* far = reading.far[k];
          const double near_weight = counted ? near[3] / divisor : 1.0;
          const double far_weight = counted ? far[3] / divisor : 1.0;
          double change = 0.0;
          for (int channel = 0; channel < 3; ++channel)
            change += flow[channel] * (far[channel] * near_weight - near[channel] * far_weight);
          const double slope = position_slope(color[k], scale);
          grad_image[place + k * pixels] = known ? static_cast<float>(slope * change) : 0.0f;
        }
      }
      if (sums != nullptr) {
        Place<float> corners;
        locate(color, axis, points, corners);
        const float4 value = {static_cast<float>(flow[0]), static_cast<float>(flow[1]), static_cast<float>(flow[2]),
                              0.0f};
        lut_sums.add(known, corners, value);
      }
    }
    if (sums != nullptr) lut_sums.finish();
  }
}
