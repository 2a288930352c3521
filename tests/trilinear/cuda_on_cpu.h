// Runs CUDA kernels on the CPU, so that their arithmetic and their cooperation within a warp are tested without a GPU.
//
// Include this, then the .cu file, then CO2NET_ON_CPU(kernel) for each kernel. Blocks and warps run one after the other;
// the 32 threads of a warp are coroutines that stop at each warp-wide operation until all have come to the same one. A
// thread that ends or branches away there, or a 16-byte access off a 16-byte address, is an error with a message.
// Shared memory keeps what the last block left in it. What the kernels do not use is not here.

#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct alignas(16) float4 {
  float x, y, z, w;
};
struct Dimensions {
  unsigned x, y;
};
inline Dimensions gridDim, blockDim, blockIdx, threadIdx;

namespace on_cpu {

enum Operation { kNone, kBallot, kMatch, kShuffle, kWait };
struct Thread {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  Operation operation = kNone;
  long long value = 0, result = 0;
  int from = 0;
  bool done = false;
};
inline Thread warp[32];
inline ucontext_t scheduler;
inline int running;
inline std::string error;
inline std::function<void()> body;

inline void fail(const char* message) {
  if (error.empty()) error = message;
}

inline void start() {
  body();
  warp[running].done = true;
  swapcontext(&warp[running].context, &scheduler);
}

// Called by a thread: stops until all 32 have called it.
inline long long together(unsigned mask, Operation operation, long long value, int from = 0) {
  if (mask != 0xffffffffu) fail("a warp-wide operation without all lanes");
  Thread& self = warp[running];
  self.operation = operation;
  self.value = value;
  self.from = from;
  swapcontext(&self.context, &scheduler);
  return self.result;
}

inline void resolve() {
  long long ballot = 0;
  for (int lane = 0; lane < 32; ++lane) ballot |= static_cast<long long>(warp[lane].value != 0) << lane;
  for (Thread& thread : warp) {
    if (thread.operation == kBallot) thread.result = ballot;
    if (thread.operation == kShuffle) thread.result = warp[thread.from & 31].value;
    if (thread.operation == kMatch) {
      thread.result = 0;
      for (int lane = 0; lane < 32; ++lane)
        thread.result |= static_cast<long long>(warp[lane].value == thread.value) << lane;
    }
  }
}

inline void run_warp(unsigned first_thread) {
  for (Thread& thread : warp) {
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, start, 0);
    thread.done = false;
  }
  while (error.empty()) {
    int done = 0, different = 0;
    for (running = 0; running < 32; ++running) {
      Thread& thread = warp[running];
      threadIdx = {first_thread + running, 0};
      thread.operation = kNone;
      swapcontext(&scheduler, &thread.context);
      done += thread.done;
      different += thread.operation != warp[0].operation;
    }
    if (done == 32) return;
    if (done != 0 || different != 0) return fail("the lanes of a warp went different ways around a warp-wide operation");
    resolve();
  }
}

inline const char* run(unsigned grid_x, unsigned grid_y, unsigned block) {
  error.clear();
  gridDim = {grid_x, grid_y};
  blockDim = {block, 1};
  for (unsigned y = 0; y < grid_y; ++y)
    for (unsigned x = 0; x < grid_x; ++x)
      for (unsigned first = 0; first < block && error.empty(); first += 32) {
        blockIdx = {x, y};
        run_warp(first);
      }
  return error.empty() ? nullptr : error.c_str();
}

// As the driver takes them: a pointer to each argument.
template <class... Arguments, std::size_t... Numbers>
void call(void (*kernel)(Arguments...), void** pointers, std::index_sequence<Numbers...>) {
  kernel(*static_cast<Arguments*>(pointers[Numbers])...);
}
template <class... Arguments>
const char* launch(void (*kernel)(Arguments...), unsigned grid_x, unsigned grid_y, unsigned block, void** pointers) {
  body = [=] { call(kernel, pointers, std::index_sequence_for<Arguments...>()); };
  return run(grid_x, grid_y, block);
}

template <class T>
void check_alignment(const T* pointer) {
  if (reinterpret_cast<std::uintptr_t>(pointer) % sizeof(T) != 0) fail("an access off its alignment");
}

}  // namespace on_cpu

#define CO2NET_ON_CPU(kernel)                                                                                       \
  extern "C" const char* on_cpu_##kernel(unsigned grid_x, unsigned grid_y, unsigned block, void** pointers) {       \
    return on_cpu::launch(kernel, grid_x, grid_y, block, pointers);                                                 \
  }

// ---- what CUDA offers to device code ----

using std::max;
using std::min;

template <class T>
T __ldg(const T* from) {
  on_cpu::check_alignment(from);
  return *from;
}
template <class T>
T __ldcs(const T* from) {
  on_cpu::check_alignment(from);
  return *from;
}
template <class T>
void __stcs(T* to, T value) {
  on_cpu::check_alignment(to);
  *to = value;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __int_as_float(int bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline int __ffs(unsigned bits) { return __builtin_ffs(static_cast<int>(bits)); }
inline long long additions = 0;
extern "C" inline __attribute__((used)) long long atomic_additions() { return std::exchange(additions, 0); }
inline double atomicAdd(double* to, double value) {
  const double before = *to;
  ++additions;
  *to += value;
  return before;
}

inline unsigned __ballot_sync(unsigned mask, bool value) {
  return static_cast<unsigned>(on_cpu::together(mask, on_cpu::kBallot, value));
}
inline unsigned __match_any_sync(unsigned mask, int value) {
  return static_cast<unsigned>(on_cpu::together(mask, on_cpu::kMatch, value));
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
  return static_cast<T>(on_cpu::together(mask, on_cpu::kShuffle, static_cast<long long>(value), from));
}
inline void __syncwarp() { on_cpu::together(0xffffffffu, on_cpu::kWait, 0); }
