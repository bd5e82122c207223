// A guest that classifies with the functions of wasi-nn's witx version, and no others:
// what an existing wasi-nn guest does. A test builds this file with
//
//   clang-19 --target=wasm32 -O2 -nostdlib -Wl,--no-entry -Wl,--strip-all -o classify.wasm classify.c
//
// Function 0 gets the name of a network, function 1 its bytes; both get, all u32:
// the length of that, the input's rank and dimensions, and then the name or bytes,
// to a multiple of four, and the input, f32. They answer with the number of the
// largest output and the outputs. An error's code is the function of wasi-nn that
// failed, and its text the errno, a digit.
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;

typedef struct { const u8 *data; u32 size; } bytes;
typedef struct { const u32 *dims; u32 rank; u8 type; const void *data; u32 size; } tensor;

#define NN(name) __attribute__((import_module("wasi_ephemeral_nn"), import_name(#name))) u32 nn_##name
NN(load)(const bytes *builders, u32 n, u32 encoding, u32 target, u32 *graph);
NN(load_by_name)(const u8 *name, u32 n, u32 *graph);
NN(init_execution_context)(u32 graph, u32 *context);
NN(set_input)(u32 context, u32 index, const tensor *t);
NN(compute)(u32 context);
NN(get_output)(u32 context, u32 index, void *out, u32 most, u32 *n);

enum { ONNX = 1, CPU = 0, F32 = 1, OUTPUTS = 1024 };

static u32 request[1 << 18];
static struct { u8 pad[3], status; u32 best; float out[OUTPUTS]; } reply;
static struct { u8 status; u8 n[2]; u8 text[32]; } failure;

__attribute__((export_name("bungee_abi"))) int32_t bungee_abi(void) { return 1; }

__attribute__((export_name("bungee_buf"))) void *bungee_buf(u32 n) {
  return n <= sizeof request ? request : 0;
}

static uint64_t answer(const void *p, u32 n) { return (uint64_t)(uintptr_t)p << 32 | n; }

static uint64_t fail(const char *function, u32 errno) {
  u32 n = 0;
  for (; function[n]; n++) failure.text[n] = function[n];
  failure.status = 1;
  failure.n[0] = n;
  failure.text[n] = '0' + errno;
  return answer(&failure, 3 + n + 1);
}

__attribute__((export_name("bungee_call")))
uint64_t bungee_call(u32 fn, const u32 *in, u32 size, int64_t deadline) {
  const u32 n = in[0], rank = in[1], *dims = in + 2;
  const bytes model = {(const u8 *)(dims + rank), n};
  const u8 *data = model.data + (n + 3) / 4 * 4;
  u32 graph, context, got, errno;
  errno = fn == 0 ? nn_load_by_name(model.data, n, &graph) : nn_load(&model, 1, ONNX, CPU, &graph);
  if (errno) return fail(fn == 0 ? "load_by_name" : "load", errno);
  if ((errno = nn_init_execution_context(graph, &context))) return fail("init_execution_context", errno);
  const tensor t = {dims, rank, F32, data, (u32)((const u8 *)in + size - data)};
  if ((errno = nn_set_input(context, 0, &t))) return fail("set_input", errno);
  if ((errno = nn_compute(context))) return fail("compute", errno);
  if ((errno = nn_get_output(context, 0, reply.out, sizeof reply.out, &got))) return fail("get_output", errno);
  reply.best = 0;
  for (u32 i = 1; i < got / 4; i++)
    if (reply.out[i] > reply.out[reply.best]) reply.best = i;
  reply.status = 0;
  return answer(&reply.status, 1 + 4 + got);
}
