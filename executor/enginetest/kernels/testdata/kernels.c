// A guest whose functions are small computations of one kind each. Package kernels
// lists them under the same numbers. Its test builds this file with
//
//   clang-19 --target=wasm32-wasi -O3 -msimd128 -mexec-model=reactor -Wl,--strip-all -o kernels.wasm kernels.c
//
// A kernel gets how often it repeats itself, and answers with a number that depends
// on all that it computed.
#include <stdint.h>
#include <string.h>
#include <wasm_simd128.h>

#define SCALAR _Pragma("clang loop vectorize(disable) unroll(disable)")
#define APART __attribute__((noinline))
#define BULK __attribute__((noinline, target("bulk-memory")))

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum { W = 640, H = 480 };

static u8 request[W * H * 4], reply[1 + sizeof request];
static u8 image[W * H * 4], gray[W * H];
static u32 words[1 << 20];
static float fa[1 << 16], fb[1 << 16], fc[1 << 16];
static double da[64 * 64], db[64 * 64], dc[64 * 64];
static u8 bytes[1 << 20], other[1 << 20];
static int16_t sa[1 << 15], sb[1 << 15];

static u32 noise(u32 *s) {
  *s ^= *s << 13;
  *s ^= *s >> 17;
  *s ^= *s << 5;
  return *s;
}

// Integers.

static u64 k_add(u32 n) {
  u64 a = 1, b = 2;
  SCALAR for (u32 i = 0; i < n; i++) {
    a += b ^ i;
    b += a;
  }
  return a;
}

static u64 k_multiply(u32 n) {
  u64 a = 88172645463325252u;
  SCALAR for (u32 i = 0; i < n; i++) a = (a ^ (a >> 7)) * 6364136223846793005u + 1;
  return a;
}

static u64 k_divide(u32 n) {
  u64 a = 0, b = ~0ull;
  SCALAR for (u32 i = 1; i <= n; i++) a += b / i + b % (i + 7);
  return a;
}

static u64 k_bits(u32 n) {
  u64 a = 1, sum = 0;
  SCALAR for (u32 i = 0; i < n; i++) {
    a = (a << 9 | a >> 55) ^ i;
    sum += __builtin_popcountll(a) + __builtin_clzll(a | 1) + __builtin_ctzll(a | 1ull << 63);
  }
  return sum;
}

static u64 k_collatz(u32 n) {
  u64 steps = 0;
  for (u32 i = 1; i <= n; i++)
    for (u64 v = i; v != 1; steps++) v = v & 1 ? 3 * v + 1 : v / 2;
  return steps;
}

static u64 k_sieve(u32 n) {
  u64 primes = 0;
  for (u32 r = 0; r < n; r++) {
    memset(bytes, 1, 1 << 16);
    for (u32 p = 2; p < 1 << 16; p++) {
      if (!bytes[p]) continue;
      primes++;
      SCALAR for (u32 q = 2 * p; q < 1 << 16; q += p) bytes[q] = 0;
    }
  }
  return primes;
}

static u64 k_crc(u32 n) {
  u32 table[256], crc = ~0u;
  for (u32 i = 0; i < 256; i++) {
    u32 c = i;
    for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    table[i] = c;
  }
  SCALAR for (u32 i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ i) & 255];
  return crc;
}

// Calls.

APART static u64 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static u64 k_fib(u32 n) { return fib(n); }

APART static int tak(int x, int y, int z) {
  return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

static u64 k_tak(u32 n) { return tak(n, n * 2 / 3, n / 3); }

APART static u64 op_add(u64 a, u64 b) { return a + b; }
APART static u64 op_xor(u64 a, u64 b) { return a ^ b; }
APART static u64 op_mul(u64 a, u64 b) { return a * (b | 1); }
APART static u64 op_rot(u64 a, u64 b) { return a << 11 | a >> 53; }

static u64 (*volatile const ops[])(u64, u64) = {op_add, op_xor, op_mul, op_rot};

static u64 k_dispatch(u32 n) {
  u64 a = 7;
  for (u32 i = 0; i < n; i++) a = ops[(a >> 3 ^ i) & 3](a, i);
  return a;
}

static void sort(u32 *v, int n) {
  while (n > 16) {
    u32 pivot = v[n / 2];
    int i = 0, j = n - 1;
    for (;;) {
      while (v[i] < pivot) i++;
      while (v[j] > pivot) j--;
      if (i >= j) break;
      u32 t = v[i];
      v[i++] = v[j];
      v[j--] = t;
    }
    sort(v + i, n - i);
    n = i;
  }
  for (int i = 1; i < n; i++) {
    u32 x = v[i];
    int j = i;
    for (; j > 0 && v[j - 1] > x; j--) v[j] = v[j - 1];
    v[j] = x;
  }
}

static u64 k_sort(u32 n) {
  u32 s = 2463534242u;
  n = n < 1 << 20 ? n : 1 << 20;
  for (u32 i = 0; i < n; i++) words[i] = noise(&s);
  sort(words, n);
  return words[n / 2] + (u64)words[n / 3];
}

// Memory.

BULK static u64 k_copy(u32 n) {
  for (u32 i = 0; i < n; i++) memmove(bytes + (i & 63), other + (i & 31), (1 << 20) - 64);
  return bytes[n & 1023];
}

BULK static u64 k_fill(u32 n) {
  for (u32 i = 0; i < n; i++) memset(other + (i & 63), i, (1 << 20) - 64);
  return other[1 << 19];
}

static u64 k_chase(u32 n) {
  const u32 size = 1 << 20;
  u32 at = 0;
  for (u32 i = 0; i < size; i++) words[i] = (i * 1664525u + 1013904223u) & (size - 1);
  SCALAR for (u32 i = 0; i < n; i++) at = words[at];
  return at;
}

static u64 k_stride(u32 n) {
  u64 sum = 0;
  for (u32 r = 0; r < n; r++)
    SCALAR for (u32 i = 0; i < 1 << 20; i += 16) sum += words[i] += r;
  return sum;
}

static u64 k_histogram(u32 n) {
  u32 count[256] = {0}, s = 1;
  SCALAR for (u32 i = 0; i < n; i++) count[noise(&s) & 255]++;
  return count[17] * (u64)count[200];
}

// Floats.

static u64 k_matmul(u32 n) {
  for (u32 i = 0; i < 64 * 64; i++) da[i] = i % 7 + 0.5, db[i] = i % 5 - 1.25;
  for (u32 r = 0; r < n; r++)
    for (u32 i = 0; i < 64; i++)
      for (u32 j = 0; j < 64; j++) {
        double sum = r;
        SCALAR for (u32 k = 0; k < 64; k++) sum += da[i * 64 + k] * db[k * 64 + j];
        dc[i * 64 + j] = sum;
      }
  return (u64)(int64_t)dc[64 * 31 + 7];
}

static u64 k_mandelbrot(u32 n) {
  u64 sum = 0;
  for (u32 y = 0; y < n; y++)
    for (u32 x = 0; x < n; x++) {
      double cr = 3.0 * x / n - 2, ci = 2.0 * y / n - 1, r = 0, i = 0;
      for (u32 k = 0; k < 64 && r * r + i * i < 4; k++, sum++) {
        double t = r * r - i * i + cr;
        i = 2 * r * i + ci;
        r = t;
      }
    }
  return sum;
}

static u64 k_orbit(u32 n) {
  double x = 1, y = 0, vx = 0, vy = 0.9;
  SCALAR for (u32 i = 0; i < n; i++) {
    double d = x * x + y * y, a = -0.001 / (d * __builtin_sqrt(d));
    vx += a * x, vy += a * y;
    x += 0.001 * vx, y += 0.001 * vy;
  }
  return (u64)(int64_t)(1e9 * (x + y));
}

static u64 k_newton(u32 n) {
  float sum = 0;
  SCALAR for (u32 i = 1; i <= n; i++) {
    float v = i, g = v / 2;
    for (int k = 0; k < 6; k++) g = (g + v / g) / 2;
    sum += g / v;
  }
  return (u64)(1000 * sum);
}

static u64 k_filter(u32 n) {
  float state[4] = {0}, sum = 0;
  SCALAR for (u32 i = 0; i < n; i++) {
    float in = (i & 255) - 127.5f;
    float out = 0.2f * in + 0.3f * state[0] + 0.1f * state[1] + 0.6f * state[2] - 0.25f * state[3];
    state[1] = state[0], state[0] = in;
    state[3] = state[2], state[2] = out;
    sum += out > 0 ? out : -out;
  }
  return (u64)sum;
}

static u64 k_convert(u32 n) {
  double sum = 0;
  SCALAR for (u32 i = 0; i < n; i++) sum += (double)(float)(int)(sum * 0.001) + __builtin_floor(i * 0.37);
  return (u64)(int64_t)sum;
}

// Vectors.

static u64 k_saxpy(u32 n) {
  for (u32 i = 0; i < 1 << 12; i++) fa[i] = i, fb[i] = 1 << 12, fc[i] = 0;
  for (u32 r = 0; r < n; r++)
    for (u32 i = 0; i < 1 << 12; i += 4) {
      v128_t y = wasm_v128_load(fc + i);
      y = wasm_f32x4_add(wasm_f32x4_mul(wasm_v128_load(fa + i), wasm_f32x4_splat(0.5f)), y);
      wasm_v128_store(fc + i, wasm_f32x4_min(y, wasm_v128_load(fb + i)));
    }
  return (u64)fc[100] + (u64)fc[4000];
}

static u64 k_vnorm(u32 n) {
  v128_t sum = wasm_f64x2_splat(0);
  for (u32 i = 0; i < n; i++) {
    v128_t v = wasm_f64x2_make(i, i + 1);
    sum = wasm_f64x2_add(sum, wasm_f64x2_div(v, wasm_f64x2_sqrt(wasm_f64x2_add(wasm_f64x2_mul(v, v), wasm_f64x2_splat(2)))));
  }
  return (u64)(1000 * (wasm_f64x2_extract_lane(sum, 0) + wasm_f64x2_extract_lane(sum, 1)));
}

static u64 k_blend(u32 n) {
  for (u32 i = 0; i < 1 << 14; i++) bytes[i] = i, other[i] = i * 7;
  for (u32 r = 0; r < n; r++)
    for (u32 i = 0; i < 1 << 14; i += 16) {
      v128_t a = wasm_v128_load(bytes + i), b = wasm_v128_load(other + i);
      wasm_v128_store(bytes + i, wasm_u8x16_add_sat(wasm_u8x16_avgr(a, b), wasm_u8x16_splat(1)));
    }
  return bytes[77] + ((u64)bytes[16000] << 8);
}

static u64 k_dot(u32 n) {
  v128_t sum = wasm_i32x4_splat(0);
  for (u32 i = 0; i < 1 << 12; i++) sa[i] = i - 2048, sb[i] = 3 * i;
  for (u32 r = 0; r < n; r++)
    for (u32 i = 0; i < 1 << 12; i += 8) sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_v128_load(sa + i), wasm_v128_load(sb + i)));
  return (u32)wasm_i32x4_extract_lane(sum, 0) + (u64)(u32)wasm_i32x4_extract_lane(sum, 3);
}

static u64 k_shuffle(u32 n) {
  v128_t a = wasm_u8x16_make(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), b = wasm_u8x16_splat(3);
  for (u32 i = 0; i < n; i++) {
    b = wasm_i8x16_add(b, wasm_i8x16_shuffle(a, b, 15, 16, 1, 30, 3, 4, 21, 6, 7, 24, 9, 10, 27, 12, 13, 14));
    a = wasm_i8x16_swizzle(b, wasm_v128_and(a, wasm_u8x16_splat(15)));
  }
  return wasm_i64x2_extract_lane(b, 0) ^ wasm_i64x2_extract_lane(a, 1);
}

// gray4 returns the gray of the 4 pixels at p, 16 bytes, in 4 words.
static v128_t gray4(const u8 *p) {
  const v128_t weights = wasm_i16x8_const(77, 150, 29, 0, 77, 150, 29, 0);
  v128_t rgba = wasm_v128_load(p);
  v128_t low = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_low_u8x16(rgba), weights);
  v128_t high = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_high_u8x16(rgba), weights);
  v128_t red_green = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), blue = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
  return wasm_u32x4_shr(wasm_i32x4_add(red_green, blue), 8);
}

// edges8 writes the edges of the 8 pixels at b, which lie between those at a and c.
static void edges8(u8 *out, const u8 *a, const u8 *b, const u8 *c) {
#define AT(p, x) wasm_u16x8_load8x8((p) + (x))
  v128_t a0 = AT(a, -1), a2 = AT(a, 1), c0 = AT(c, -1), c2 = AT(c, 1);
  v128_t across = wasm_i16x8_sub(a2, a0), below = wasm_i16x8_sub(c2, c0);
  v128_t gx = wasm_i16x8_add(wasm_i16x8_add(across, below), wasm_i16x8_shl(wasm_i16x8_sub(AT(b, 1), AT(b, -1)), 1));
  v128_t gy = wasm_i16x8_add(wasm_i16x8_sub(wasm_i16x8_add(c0, c2), wasm_i16x8_add(a0, a2)),
                             wasm_i16x8_shl(wasm_i16x8_sub(AT(c, 0), AT(a, 0)), 1));
  v128_t sum = wasm_i16x8_add(wasm_i16x8_abs(gx), wasm_i16x8_abs(gy));
  wasm_v128_store64_lane(out, wasm_u8x16_narrow_i16x8(sum, sum), 0);
#undef AT
}

// The gray image of image's red, green, blue, alpha, and of that the strength of
// its edges: |horizontal| + |vertical| Sobel, at most 255, 0 at the border. Go's
// version is Edges of package sobel.
static void gray_sobel(u8 *restrict out) {
  for (int i = 0; i < W * H; i += 16) {
    const u8 *p = image + 4 * i;
    v128_t low = wasm_i16x8_narrow_i32x4(gray4(p), gray4(p + 16)), high = wasm_i16x8_narrow_i32x4(gray4(p + 32), gray4(p + 48));
    wasm_v128_store(gray + i, wasm_u8x16_narrow_i16x8(low, high));
  }
  memset(out, 0, W);
  memset(out + (H - 1) * W, 0, W);
  for (int y = 1; y < H - 1; y++) {
    const u8 *b = gray + y * W;
    u8 *restrict o = out + y * W;
    for (int x = 1; x < W - 8; x += 8) edges8(o + x, b - W + x, b + x, b + W + x);
    edges8(o + W - 9, b - 9, b + W - 9, b + 2 * W - 9); // the last ones, some of them again
    o[0] = o[W - 1] = 0;
  }
}

static u64 (*const kernels[])(u32) = {
    k_add, k_multiply, k_divide, k_bits, k_collatz, k_sieve, k_crc,
    k_fib, k_tak, k_dispatch, k_sort,
    k_copy, k_fill, k_chase, k_stride, k_histogram,
    k_matmul, k_mandelbrot, k_orbit, k_newton, k_filter, k_convert,
    k_saxpy, k_vnorm, k_blend, k_dot, k_shuffle,
};

enum { EMPTY, ECHO, GRAY_SOBEL, KERNELS };

__attribute__((export_name("bungee_abi"))) int32_t bungee_abi(void) { return 1; }

__attribute__((export_name("bungee_buf"))) void *bungee_buf(u32 n) { return n <= sizeof request ? request : 0; }

static u64 answer(u32 n) { return (u64)(uintptr_t)reply << 32 | (n + 1); }

__attribute__((export_name("bungee_call"))) u64 bungee_call(u32 fn, u8 *in, u32 n, int64_t deadline) {
  reply[0] = 0;
  switch (fn) {
  case EMPTY:
    return answer(0);
  case ECHO:
    memcpy(reply + 1, in, n);
    return answer(n);
  case GRAY_SOBEL: // an empty request is for the image of the one before
    memcpy(image, in, n);
    gray_sobel(reply + 1);
    return answer(W * H);
  }
  u32 times;
  if (fn - KERNELS >= sizeof kernels / sizeof *kernels || n != sizeof times) __builtin_trap();
  memcpy(&times, in, sizeof times);
  u64 v = kernels[fn - KERNELS](times);
  memcpy(reply + 1, &v, sizeof v);
  return answer(sizeof v);
}
