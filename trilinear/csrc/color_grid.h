// What applying and building a LUT share: where a color lies, corners, threads, sums per cell.
//
// Plain C++17 without PyTorch or OpenMP: one build serves every PyTorch, and a process may fork between calls. The
// definition is trilinear/reference.py. LUTs are stored as cells of 4 floats here, so that two neighbors along red
// come with one load. Included by exactly one source file per library.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "lanes.h"

// The sources and flags this library was built from: trilinear/_build.py names them and checks the name when loading.
#define CO2NET_TEXT_OF(name) #name
#define CO2NET_TEXT(name) CO2NET_TEXT_OF(name)
CO2NET_API const char* co2net_build_id() { return CO2NET_TEXT(CO2NET_BUILD_ID); }

namespace co2net {

enum Status { kDone = 0, kNotFinite = 1, kNoMemory = 2 };  // results of an entry point, as _native.py knows them

constexpr double kExtent = 1.000001;  // length of the LUT's axes in color units
constexpr int kBlock = 128;           // pixels located at a time: a block stays in the first-level cache

// ---- where colors lie ----

template <class Real>
struct Block {
  int32_t cell[kBlock];  // number of the near corner, r + D g + D^2 b
  Real near[3][kBlock];  // weight 1 - d of the near side, per channel
  Real far[3][kBlock];   // weight d of the far side
};

// Locates `size` colors; `colors` points at the first red value, channels lie `plane` apart. Returns whether all are
// finite. Colors are clamped to [0, 1] (NaN to 0), so every cell exists: even 1 lies at (D - 1) / 1.000001 < D - 1.
// The position is computed in double: 1 - d next to a cell border has no digits in float.
template <class Real>
CO2NET_INLINE bool locate(const float* colors, int64_t plane, int size, int dim, Block<Real>& block) {
  const double scale = (dim - 1) / kExtent;
  uint32_t infinite = 0;
  int32_t stride = 1;
  for (int k = 0; k < 3; ++k, stride *= dim) {
    const float* color = colors + k * plane;
    for (int i = 0; i < size; ++i) {
      uint32_t bits;
      std::memcpy(&bits, color + i, sizeof bits);
      infinite |= (bits & 0x7f800000u) == 0x7f800000u;
      const float positive = color[i] > 0.0f ? color[i] : 0.0f;
      const double position = (positive < 1.0f ? positive : 1.0f) * scale;
      const int32_t index = static_cast<int32_t>(position);
      const double fraction = position - index;
      block.far[k][i] = static_cast<Real>(fraction);
      block.near[k][i] = static_cast<Real>(1.0 - fraction);
      block.cell[i] = k == 0 ? index : block.cell[i] + stride * index;
    }
  }
  return infinite == 0;
}

// What locate_quickly() knows about a LUT: the reciprocal of the cell size h, and a little less, so that the product
// with a color never leads past its cell; and h in two parts, the first short enough that its product with any cell
// number is exact.
struct Steps {
  explicit Steps(int dim) : dim(dim) {
    const double size = kExtent / (dim - 1);
    scale = static_cast<float>(1.0 / size);
    below = static_cast<float>((1.0 - 1.3e-7) / size);
    uint32_t bits;
    high = static_cast<float>(size);
    std::memcpy(&bits, &high, sizeof bits);
    bits &= 0xfffff800u;  // 13 bits are left: exact for 2048 points per axis
    std::memcpy(&high, &bits, sizeof bits);
    low = static_cast<float>(size - high);
  }
  int dim;
  float scale, below, high, low;
};

// As locate(), in float, in a third of the time: as if colors were off by their last bit, since one just past a border
// may be taken for the border, and small weights have no digits. That is enough where the weights are not divided by
// their sum.
CO2NET_INLINE bool locate_quickly(const float* colors, int64_t plane, int size, const Steps& steps,
                                  Block<float>& block) {
  uint32_t infinite = 0;
  int32_t stride = 1;
  for (int k = 0; k < 3; ++k, stride *= steps.dim) {
    const float* color = colors + k * plane;
    for (int i = 0; i < size; ++i) {
      uint32_t bits;
      std::memcpy(&bits, color + i, sizeof bits);
      infinite |= (bits & 0x7f800000u) == 0x7f800000u;
      const float positive = color[i] > 0.0f ? color[i] : 0.0f;
      const float clamped = positive < 1.0f ? positive : 1.0f;
      const int32_t index = static_cast<int32_t>(clamped * steps.below);
      const float base = static_cast<float>(index);
      float fraction = ((clamped - base * steps.high) - base * steps.low) * steps.scale;
      fraction = fraction < 1.0f ? fraction : 1.0f;
      block.far[k][i] = fraction;
      block.near[k][i] = 1.0f - fraction;
      block.cell[i] = k == 0 ? index : block.cell[i] + stride * index;
    }
  }
  return infinite == 0;
}

// ---- reading corners, for gradients ----

struct Reading {
  D4 value;    // sum of weight x cell
  D4 near[3];  // along r, g, b: the same sum over the near side alone, without that axis' weight; so
  D4 far[3];   // value = (1 - d) near + d far, and far - near is the derivative in d
};

// In double: differences of these may be divided by weights as small as 3e-14.
CO2NET_INLINE Reading read_sides(const float* cells, int64_t row, int64_t slab, const Block<double>& at, int i) {
  const float* p = cells + 4 * static_cast<int64_t>(at.cell[i]);
  const D8 c00 = widen(load<F8>(p)), c10 = widen(load<F8>(p + row));
  const D8 c01 = widen(load<F8>(p + slab)), c11 = widen(load<F8>(p + slab + row));
  const double r0 = at.near[0][i], r1 = at.far[0][i], g0 = at.near[1][i], g1 = at.far[1][i];
  const double b0 = at.near[2][i], b1 = at.far[2][i];
  const D8 near_b = g0 * c00 + g1 * c10, far_b = g0 * c01 + g1 * c11;
  const D8 near_g = b0 * c00 + b1 * c01, far_g = b0 * c10 + b1 * c11;
  const D8 both = b0 * near_b + b1 * far_b;
  return {r0 * low(both) + r1 * high(both),
          {low(both), r0 * low(near_g) + r1 * high(near_g), r0 * low(near_b) + r1 * high(near_b)},
          {high(both), r0 * low(far_g) + r1 * high(far_g), r0 * low(far_b) + r1 * high(far_b)}};
}

// Derivative of position in color: 0 where the color was clamped.
CO2NET_INLINE double position_slope(float color, int dim) {
  return color >= 0.0f && color <= 1.0f ? (dim - 1) / kExtent : 0.0;
}

// ---- threads, started per call and joined: nothing survives into a fork ----

// Below this many pixels per thread, starting a thread (some 20 us) costs more than it brings.
constexpr int64_t kPixelsPerThread = 16384;

inline int64_t useful_threads(int64_t pixels, int64_t threads) {
  const int64_t useful = pixels / kPixelsPerThread;
  return useful < 1 ? 1 : useful < threads ? useful : threads;
}

// Runs run(0) .. run(tasks - 1), each once, on up to `threads` threads; on fewer if the system gives fewer.
template <class Run>
void parallel(int64_t tasks, int64_t threads, const Run& run) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t task = next++; task < tasks; task = next++) run(task);
  };
  std::vector<std::thread> helpers;
  helpers.reserve(static_cast<size_t>(threads));
  try {
    for (int64_t i = 1; i < threads && i < tasks; ++i) helpers.emplace_back(work);
  } catch (const std::system_error&) {
  }
  work();
  for (std::thread& helper : helpers) helper.join();
}

// Runs run(item, begin, end) over the pixels of all items, cut into pieces of whole blocks.
template <class Run>
void parallel_pixels(int64_t items, int64_t pixels, int64_t threads, const Run& run) {
  constexpr int64_t piece = 128 * kBlock;
  const int64_t pieces = (pixels + piece - 1) / piece;
  parallel(items * pieces, useful_threads(items * pixels, threads), [&](int64_t task) {
    const int64_t begin = task % pieces * piece;
    run(task / pieces, begin, begin + piece < pixels ? begin + piece : pixels);
  });
}

// ---- memory ----

constexpr size_t kLine = 64;  // bytes of a cache line

struct Free {
  void operator()(void* memory) const { std::free(static_cast<void**>(memory)[-1]); }
};
template <class T>
using Buffer = std::unique_ptr<T[], Free>;

// Begins at a cache line. Not cleared: its pages are first touched by the thread that fills them.
template <class T>
Buffer<T> allocate(int64_t size) {
  char* memory = static_cast<char*>(std::malloc(static_cast<size_t>(size) * sizeof(T) + sizeof(void*) + kLine));
  if (!memory) throw std::bad_alloc();
  const size_t after = reinterpret_cast<uintptr_t>(memory) + sizeof(void*) + kLine - 1;
  char* aligned = memory + (after / kLine * kLine - reinterpret_cast<uintptr_t>(memory));
  reinterpret_cast<void**>(aligned)[-1] = memory;
  return Buffer<T>(reinterpret_cast<T*>(aligned));
}

// ---- sums per cell, the transpose of reading ----

// Adds `value` times the corner weights of pixel i. Double, because a cell that holds millions of pixels must still
// grow by the next one.
template <class Real>
CO2NET_INLINE void add_to_corners(double* volume, int64_t row, int64_t slab, const Block<Real>& at, int i,
                                  const F4& value) {
  const float r0 = static_cast<float>(at.near[0][i]), r1 = static_cast<float>(at.far[0][i]);
  const F8 pair = {value[0] * r0, value[1] * r0, value[2] * r0, value[3] * r0,
                   value[0] * r1, value[1] * r1, value[2] * r1, value[3] * r1};
  const float g[2] = {static_cast<float>(at.near[1][i]), static_cast<float>(at.far[1][i])};
  const float b[2] = {static_cast<float>(at.near[2][i]), static_cast<float>(at.far[2][i])};
  double* corner = volume + 4 * static_cast<int64_t>(at.cell[i]);
  store(corner, load<D8>(corner) + widen((g[0] * b[0]) * pair));
  store(corner + row, load<D8>(corner + row) + widen((g[1] * b[0]) * pair));
  store(corner + slab, load<D8>(corner + slab) + widen((g[0] * b[1]) * pair));
  store(corner + slab + row, load<D8>(corner + slab + row) + widen((g[1] * b[1]) * pair));
}

// Into how many parts the pixels of an item are cut for summing. It follows from the shapes alone, and with it the
// order of the sums, so the result does not change with the number of threads. A part costs clearing and adding one
// volume (0.2 ms at D = 33).
inline int64_t parts_of(int64_t pixels, int64_t cells) {
  const int64_t least = 4 * cells > (int64_t{1} << 18) ? 4 * cells : int64_t{1} << 18;
  const int64_t parts = pixels / least;
  return parts < 1 ? 1 : parts > 16 ? 16 : parts;
}

// fill(item, begin, end, volume) adds the pixels [begin, end) of an item to a cleared volume;
// write(item, begin, end, sums) gets the finished sums of the cells [begin, end) of an item, 4 doubles each.
template <class Fill, class Write>
void sum_per_cell(int64_t items, int64_t pixels, int64_t cells, int64_t threads, const Fill& fill, const Write& write) {
  threads = useful_threads(items * pixels, threads);
  const int64_t parts = parts_of(pixels, cells), size = 4 * cells, pieces = 8;
  const int64_t length = ((pixels + parts - 1) / parts + kBlock - 1) / kBlock * kBlock;
  const int64_t enough = (threads + parts - 1) / parts;
  const int64_t wave = enough < items ? enough : items;  // items at a time: enough to keep the threads busy
  const Buffer<double> volumes = allocate<double>(wave * parts * size);
  for (int64_t first = 0; first < items; first += wave) {
    const int64_t count = items - first < wave ? items - first : wave;
    parallel(count * parts, threads, [&](int64_t task) {
      double* volume = volumes.get() + task * size;
      std::memset(volume, 0, sizeof(double) * static_cast<size_t>(size));
      const int64_t begin = task % parts * length, end = begin + length < pixels ? begin + length : pixels;
      if (begin < end) fill(first + task / parts, begin, end, volume);
    });
    parallel(count * pieces, threads, [&](int64_t task) {
      const int64_t begin = task % pieces * cells / pieces, end = (task % pieces + 1) * cells / pieces;
      double* sums = volumes.get() + task / pieces * parts * size;
      for (const double* more = sums + size; more < sums + parts * size; more += size)
        for (int64_t i = 4 * begin; i < 4 * end; ++i) sums[i] += more[i];
      write(first + task / pieces, begin, end, sums);
    });
  }
}

}  // namespace co2net
