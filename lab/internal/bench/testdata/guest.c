// The guest of "bungee bench executor" for what needs a small one, and one that
// behaves badly. TestGuestIsCurrent builds it with
//
//   clang-19 --target=wasm32 -O2 -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 -o guest.wasm guest.c
#include <stdint.h>

enum { PAGE = 1 << 16, MEGABYTE = 1 << 20 };

// Requests. What precedes one is the status of a reply that is the request itself.
static uint8_t little[1 + 16], *large;

enum { EMPTY, SPIN, BOMB, WORK, ECHO };

__attribute__((export_name("bungee_abi"))) int32_t bungee_abi(void) { return 1; }

// A guest that gets large requests has memory for one from then on.
__attribute__((export_name("bungee_buf"))) void *bungee_buf(uint32_t n) {
  if (n <= sizeof little - 1) return little + 1;
  if (n > MEGABYTE) return 0;
  if (!large) {
    uintptr_t page = __builtin_wasm_memory_grow(0, MEGABYTE / PAGE + 1);
    if (page == (uintptr_t)-1) return 0;
    large = (uint8_t *)(page * PAGE) + 64; // copies between aligned addresses take half the time
  }
  return large;
}

// bomb takes all memory that there is, and touches it.
static void bomb(void) {
  for (;;) {
    uintptr_t page = __builtin_wasm_memory_grow(0, 1);
    if (page == (uintptr_t)-1) __builtin_trap();
    for (uint32_t i = 0; i < PAGE; i += 1 << 12) *(volatile uint8_t *)(page * PAGE + i) = 1;
  }
}

// work computes for some nanoseconds, n times.
static void work(uint32_t n) {
  volatile uint32_t result;
  uint32_t x = n | 1;
  for (; n; n--) x = x * 1664525 + 1013904223, x ^= x >> 13;
  result = x;
}

__attribute__((export_name("bungee_call"))) uint64_t bungee_call(uint32_t fn, uint8_t *in, uint32_t n, int64_t deadline) {
  if (fn == SPIN)
    for (volatile int i = 0;; i++) {}
  if (fn == BOMB) bomb();
  if (fn == WORK) work(*(uint32_t *)in);
  in[-1] = 0;
  return (uint64_t)(uintptr_t)(in - 1) << 32 | (fn == ECHO ? n + 1 : 1);
}
