// The guest of "bungee bench siege": what quiet tenants call, and what attackers have run.
// TestGuestIsCurrent builds it with
//
//   clang-19 --target=wasm32 -O2 -mbulk-memory -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 -o guest.wasm guest.c
//
// and contexts.wasm with -DNETWORKS: there HOG takes inference contexts, too, of the network that the request names.
#include <stdint.h>

enum { PAGE = 1 << 16, AHEAD = 64, TEXT = 4 << 10 };

enum { ANSWER, REPLY, SPIN, HOG, FILL, COPY, TRAP, LOG, HANDLE, SAVE, RESTORE };

__attribute__((import_module("bungee"), import_name("log"))) void host_log(int32_t level, const void *p, uint32_t n);

#ifdef NETWORKS
#define NN(name) __attribute__((import_module("wasi_ephemeral_nn"), import_name(name)))
NN("load_by_name") uint32_t load_by_name(const void *p, uint32_t n, uint32_t *graph);
NN("init_execution_context") uint32_t init_execution_context(uint32_t graph, uint32_t *context);
NN("compute") uint32_t compute(uint32_t context);

// infer takes all contexts that there are, each of which holds what it has computed.
static void infer(const uint8_t *name, uint32_t n) {
  uint32_t graph, context;
  if (load_by_name(name, n, &graph)) __builtin_trap();
  while (!init_execution_context(graph, &context)) compute(context);
}
#else
static void infer(const uint8_t *name, uint32_t n) {}
#endif

extern uint8_t __heap_base;

// The size of the endpoint's state.
static uint32_t state;

// area returns where n bytes are, the same for each n, or 0 if there is no memory for them.
static uint8_t *area(uint32_t n) {
  uintptr_t begin = (uintptr_t)&__heap_base + AHEAD;
  uint64_t pages = ((uint64_t)begin + n + PAGE - 1) / PAGE;
  uintptr_t has = __builtin_wasm_memory_size(0);
  if (pages > has && __builtin_wasm_memory_grow(0, pages - has) == (uintptr_t)-1) return 0;
  return (uint8_t *)begin;
}

// grow takes all memory that there is, and returns its end.
static uintptr_t grow(void) {
  for (uintptr_t step = 1024; step; step /= 2)
    while (__builtin_wasm_memory_grow(0, step) != (uintptr_t)-1) {}
  return __builtin_wasm_memory_size(0) * (uintptr_t)PAGE;
}

// work computes for some nanoseconds, n times.
static void work(uint32_t n) {
  volatile uint32_t result;
  uint32_t x = n | 1;
  for (; n; n--) x = x * 1664525 + 1013904223, x ^= x >> 13;
  result = x;
}

static uint64_t reply(uint8_t *p, uint32_t n) {
  *p = 0;
  return (uint64_t)(uintptr_t)p << 32 | n;
}

// bulk fills, or copies, all memory without end.
static void bulk(uint32_t copy) {
  uintptr_t end = grow();
  uint8_t *p = area(0);
  uintptr_t n = end - (uintptr_t)p;
  for (volatile int i = 0;; i++) {
    if (copy) __builtin_memmove(p, p + 1, n - 1);
    else __builtin_memset(p, i, n);
  }
}

__attribute__((export_name("bungee_abi"))) int32_t bungee_abi(void) { return 1; }

__attribute__((export_name("bungee_buf"))) void *bungee_buf(uint32_t n) { return area(n); }

__attribute__((export_name("bungee_call"))) uint64_t bungee_call(uint32_t fn, uint8_t *in, uint32_t n, int64_t deadline) {
  uint32_t argument = n >= 4 ? *(uint32_t *)in : 0;
  uint8_t *out;
  switch (fn) {
  case ANSWER: // with what follows the argument
    if (n < 4) __builtin_trap();
    work(argument);
    return reply(in + 3, n - 3);
  case REPLY:
    out = area(argument + 1);
    if (!out) __builtin_trap();
    return reply(out, argument + 1);
  case SPIN:
    for (volatile int i = 0;; i++) {}
  case HOG:
    infer(in, n);
    for (uintptr_t end = grow(), p = (uintptr_t)in; p < end; p += 1 << 12) *(volatile uint8_t *)p = 1;
    for (volatile int i = 0;; i++) {}
  case FILL:
  case COPY:
    bulk(fn == COPY);
  case LOG:
    for (;;) host_log(8, &__heap_base, TEXT);
  case HANDLE: // the argument is the state's size from then on
    state = argument;
    out = area(5);
    for (int i = 1; i < 5; i++) out[i] = 0; // no value
    return reply(out, 5);
  case SAVE:
    out = area(state + 1);
    if (!out) __builtin_trap();
    return reply(out, state + 1);
  case RESTORE:
    state = n;
    return reply(area(1), 1);
  }
  __builtin_trap();
}
