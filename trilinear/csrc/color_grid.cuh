// What applying and building a LUT share on a GPU: where a color lies, its corners, sums per cell.
//
// Compiled by NVRTC, which brings no headers, and by the tests as C++ for the CPU. The definition is
// trilinear/reference.py. LUTs are packed as cells of 4 floats first, so that a corner comes with one load.
//
// Nothing here waits for the host, so colors that are not finite cannot raise an error as on the CPU: reading gives NaN
// for them, writing leaves them out.

#pragma once

namespace co2net {

typedef long long int64;

constexpr float kSmallest = 1.17549435e-38f;  // the smallest normal number: weights below it carry no digits
constexpr float kLargest = 3.402823466e38f;
constexpr int kBlock = 256;  // threads per block of every kernel, as cuda.py knows it
constexpr unsigned kAllLanes = 0xffffffffu;

// The pixels, or cells, of this thread: one in (gridDim.x * blockDim.x).
__device__ __forceinline__ int64 first_index() { return static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64 index_step() { return static_cast<int64>(gridDim.x) * blockDim.x; }

// ---- where colors lie ----

__device__ __forceinline__ bool is_finite(float value) { return fabsf(value) <= kLargest; }
__device__ __forceinline__ float not_a_number() { return __int_as_float(0x7fffffff); }

// (D - 1) / 1.000001 as the sum of two floats.
struct Axis {
  float high, low;
};
__device__ __forceinline__ Axis split(double scale) {
  const float high = static_cast<float>(scale);
  return {high, static_cast<float>(scale - high)};
}

// A pixel's cell and the weights of its sides.
template <class Real>
struct Place {
  int index[3];  // of the near corner, along r, g, b
  Real near[3];  // weight 1 - d of the near side
  Real far[3];   // weight d of the far side
  __device__ __forceinline__ int cell(int dim) const { return index[0] + dim * (index[1] + dim * index[2]); }
};

// Locates a color, clamped to [0, 1] (NaN to 0). The weights have all their digits also next to a cell border, where
// 1 - d would have none in float: the position is kept as a sum of two floats. Double would do, but most GPUs have 32 or
// 64 times fewer units for it.
__device__ __forceinline__ void locate(const float (&color)[3], Axis axis, int dim, Place<float>& place) {
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    const float clamped = fminf(fmaxf(color[k], 0.0f), 1.0f);
    const float high = __fmul_rn(clamped, axis.high);
    const float low = fmaf(clamped, axis.low, fmaf(clamped, axis.high, -high));  // what `high` lost
    int index = static_cast<int>(high);
    const float fraction = high - static_cast<float>(index);  // exact
    float far = fraction + low, near = (1.0f - fraction) - low;
    if (far < 0.0f) {  // the border lies between the position and its rounded value
      index -= 1;
      near = -far;
      far = 1.0f + far;
    } else if (near <= 0.0f) {
      index += 1;
      far = -near;
      near = 1.0f + near;
    }
    place.index[k] = min(index, dim - 2);
    place.near[k] = near;
    place.far[k] = far;
  }
}

// In double, for gradients: differences of these weights are divided by weights as small as 3e-14.
__device__ __forceinline__ void locate(const float (&color)[3], double scale, int dim, Place<double>& place) {
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    const double position = __dmul_rn(fminf(fmaxf(color[k], 0.0f), 1.0f), scale);  // rounded once, for index and d
    const int index = min(static_cast<int>(position), dim - 2);
    place.index[k] = index;
    place.far[k] = position - index;
    place.near[k] = 1.0 - place.far[k];
  }
}

// Derivative of position in color: 0 where the color was clamped.
__device__ __forceinline__ double position_slope(float color, double scale) {
  return color >= 0.0f && color <= 1.0f ? scale : 0.0;
}

// ---- reading corners, for gradients ----

struct Reading {
  double value[4];    // sum of weight x cell
  double near[3][4];  // along r, g, b: the same sum over the near side alone, without that axis' weight; so
  double far[3][4];   // value = (1 - d) near + d far, and far - near is the derivative in d
};

__device__ __forceinline__ void read_sides(const float4* cells, int dim, const Place<double>& at, Reading& reading) {
  const float4* corner = cells + at.cell(dim);
  float4 value[8];
#pragma unroll
  for (int c = 0; c < 8; ++c) value[c] = __ldg(corner + (c & 1) + dim * ((c >> 1 & 1) + dim * (c >> 2)));
#pragma unroll
  for (int channel = 0; channel < 4; ++channel) {
    double v[8];
#pragma unroll
    for (int c = 0; c < 8; ++c)
      v[c] = channel == 0 ? value[c].x : channel == 1 ? value[c].y : channel == 2 ? value[c].z : value[c].w;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
      const int stride = 1 << axis, one = axis == 0 ? 2 : 1, other = axis == 2 ? 2 : 4;  // corners along the other two
      const int k = axis == 0 ? 1 : 0, l = axis == 2 ? 1 : 2;
#pragma unroll
      for (int side = 0; side < 2; ++side) {
        const double* from = v + side * stride;
        const double sum = at.near[l] * (at.near[k] * from[0] + at.far[k] * from[one]) +
                           at.far[l] * (at.near[k] * from[other] + at.far[k] * from[one + other]);
        (side ? reading.far : reading.near)[axis][channel] = sum;
      }
    }
    reading.value[channel] = at.near[0] * reading.near[0][channel] + at.far[0] * reading.far[0][channel];
  }
}

// ---- sums per cell, the transpose of reading ----

constexpr int kLanes = 32;  // of a warp, which walks over tiles of as many pixels
constexpr int kWarps = kBlock / kLanes;
constexpr int kSlots = 8;

// Adds value x corner weight of many pixels to a volume of 4 doubles per cell, one warp at a time.
//
// Neighboring pixels have similar colors, and atomic additions to one cell wait for each other; a foreground of one
// color would be added by one unit alone. So each lane owns one of the 32 sums of a cell (8 corners x 4 values), the
// pixels of a tile are taken cell by cell (__match_any_sync), and the sums of the last cells stay in shared memory until
// another cell needs their slot. One color all over costs one atomic addition per warp, noise at most one per pixel.
// Volumes of whole blocks in shared memory would not fit (1.1 MB at D = 33).
//
// Eight pixels at most are summed in float, everything else in double: a cell that holds millions of pixels must still
// grow by the next one.
class WarpSums {
 public:
  struct Shared {  // of one warp
    float4 red[kLanes][2];    // value x weight along red, near and far
    float4 plane[kLanes];     // products of the weights along green and blue
    double sums[kSlots][kLanes];
  };

  __device__ __forceinline__ WarpSums(Shared& shared, double* volume, int dim)
      : shared_(shared), volume_(volume), dim_(dim), lane_(threadIdx.x % kLanes), held_(-1) {}

  // All lanes call this together, each with its pixel; `inside` tells whether it takes part.
  __device__ __forceinline__ void add(bool inside, const Place<float>& at, float4 value) {
    unsigned remaining = __ballot_sync(kAllLanes, inside);
    if (remaining == 0) return;
    const int cell = at.cell(dim_);
    // Cells that touch get different slots.
    const int slot = (at.index[0] & 1) + 2 * (at.index[1] & 1) + 4 * (at.index[2] & 1);
    const unsigned peers = __match_any_sync(kAllLanes, inside ? cell : -1);
    __syncwarp();  // the last tile has been read
    shared_.red[lane_][0] = times(at.near[0], value);
    shared_.red[lane_][1] = times(at.far[0], value);
    shared_.plane[lane_] = {at.near[1] * at.near[2], at.far[1] * at.near[2], at.near[1] * at.far[2],
                            at.far[1] * at.far[2]};
    __syncwarp();
    while (remaining != 0) {
      const int leader = __ffs(remaining) - 1;
      const unsigned group = __shfl_sync(kAllLanes, peers, leader);
      const int group_cell = __shfl_sync(kAllLanes, cell, leader), group_slot = __shfl_sync(kAllLanes, slot, leader);
      remaining &= ~group;
      const double sum = sum_over(group);
      double& total = shared_.sums[group_slot][lane_];
      const int held = __shfl_sync(kAllLanes, held_, group_slot);
      if (held == group_cell) {
        total += sum;
        continue;
      }
      if (held >= 0) write(held, total);
      total = sum;
      if (lane_ == group_slot) held_ = group_cell;
    }
  }

  // Adds what is still held to the volume; all lanes together, at the end.
  __device__ __forceinline__ void finish() {
    for (int slot = 0; slot < kSlots; ++slot) {
      const int held = __shfl_sync(kAllLanes, held_, slot);
      if (held >= 0) write(held, shared_.sums[slot][lane_]);
    }
  }

 private:
  static __device__ __forceinline__ float4 times(float weight, float4 value) {
    return {weight * value.x, weight * value.y, weight * value.z, weight * value.w};
  }

  // This lane's sum: lane = 4 x corner + number of the value.
  __device__ __forceinline__ double sum_over(unsigned group) const {
    const float* red = reinterpret_cast<const float*>(shared_.red) + (lane_ & 7);
    const float* plane = reinterpret_cast<const float*>(shared_.plane) + (lane_ >> 3);
    double sum = 0.0;
    if (group == kAllLanes) {
#pragma unroll
      for (int first = 0; first < kLanes; first += 8) {
        float part = 0.0f;
#pragma unroll
        for (int pixel = first; pixel < first + 8; ++pixel) part = fmaf(red[8 * pixel], plane[4 * pixel], part);
        sum += part;
      }
      return sum;
    }
    while (group != 0) {
      float part = 0.0f;
      for (int n = 0; n < 8 && group != 0; ++n) {
        const int pixel = __ffs(group) - 1;
        group &= group - 1;
        part = fmaf(red[8 * pixel], plane[4 * pixel], part);
      }
      sum += part;
    }
    return sum;
  }

  __device__ __forceinline__ void write(int cell, double sum) {
    if (sum == 0.0) return;  // corners without weight; NaN is not equal to 0 and goes in
    const int corner = lane_ >> 2;
    const int64 place = cell + (corner & 1) + static_cast<int64>(dim_) * ((corner >> 1 & 1) + dim_ * (corner >> 2));
    atomicAdd(volume_ + 4 * place + (lane_ & 3), sum);
  }

  Shared& shared_;
  double* volume_;
  const int dim_;
  const int lane_;
  int held_;  // in lane s: the cell whose sums are in slot s, -1 for none
};

// The pixels of this warp: whole tiles, one after the other, so that runs of a color stay together.
struct Span {
  int64 begin, end;
};
__device__ __forceinline__ Span span_of_warp(int64 pixels) {
  const int64 tiles = (pixels + kLanes - 1) / kLanes, warps = static_cast<int64>(gridDim.x) * kWarps;
  const int64 share = (tiles + warps - 1) / warps * kLanes;
  const int64 begin = (static_cast<int64>(blockIdx.x) * kWarps + threadIdx.x / kLanes) * share;
  return {begin, begin + share < pixels ? begin + share : pixels};
}

}  // namespace co2net

// ---- LUTs in and out ----

// planes (batch, channels, cells), count (batch, cells) or null -> packed (batch, cells, 4). Three channels become
// (v L, v), v = 0 in empty cells: one weighted sum then gives the numerator and S together.
extern "C" __global__ void __launch_bounds__(co2net::kBlock)
    pack_cells(const float* __restrict__ planes, const float* __restrict__ count, float4* __restrict__ packed,
               long long batch, long long cells, long long channels) {
  for (long long item = blockIdx.y; item < batch; item += gridDim.y) {
    const float* from = planes + item * channels * cells;
    for (long long cell = co2net::first_index(); cell < cells; cell += co2net::index_step()) {
      const bool filled = count == nullptr || count[item * cells + cell] != 0.0f;
      float4 value = {0.0f, 0.0f, 0.0f, 0.0f};
      if (filled) {
        value.x = from[cell];
        value.y = from[cell + cells];
        value.z = from[cell + 2 * cells];
        value.w = channels == 4 ? from[cell + 3 * cells] : 1.0f;
      }
      packed[item * cells + cell] = value;
    }
  }
}

// sums (batch, cells, 4) -> planes (batch, channels, cells), 0 in the empty cells of count (batch, cells), if given.
extern "C" __global__ void __launch_bounds__(co2net::kBlock)
    unpack_sums(const double* __restrict__ sums, const float* __restrict__ count, float* __restrict__ planes,
                long long batch, long long cells, long long channels) {
  for (long long item = blockIdx.y; item < batch; item += gridDim.y) {
    for (long long cell = co2net::first_index(); cell < cells; cell += co2net::index_step()) {
      const bool filled = count == nullptr || count[item * cells + cell] != 0.0f;
      for (long long k = 0; k < channels; ++k)
        planes[(item * channels + k) * cells + cell] =
            filled ? static_cast<float>(sums[4 * (item * cells + cell) + k]) : 0.0f;
    }
  }
}
