// The guest of "bungee bench hostile": each function breaks a rule of docs/abi.md, or calls host
// functions as no guest should. With NN it also imports neural networks. TestGuestIsCurrent builds it with
//
//   clang-19 --target=wasm32 -O2 -mbulk-memory -mno-nontrapping-fptoint -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 -Wl,--global-base=393216 -o hostile.wasm hostile.c
//
// and, with -DNN, hostile-nn.wasm.
#include <stdint.h>

enum { PAGE = 1 << 16, SMALL = 4 << 10 };

enum {
  ECHO, UNREACHABLE, LOAD_OUTSIDE, STORE_OUTSIDE, FILL_OUTSIDE, COPY_OUTSIDE, DIVIDE, OVERFLOW, TRUNCATE,
  RECURSE, CALL_NONE, CALL_OTHER, CALL_PAST, GROW, GROW_TRAP, BURN, WAIT, SLEEP, EXIT,
  REPLY_OUTSIDE, REPLY_EMPTY, STATUS, PANIC, LARGE, LOG_OUTSIDE, WASI, EGRESS, SCRATCH, FILL_SCRATCH, NN_CALL,
  REQUEST, HANDLE, SAVE, RESTORE,
};

// The sizes of requests for which bungee_buf does what it must not.
enum { BUF_NONE = 1001, BUF_OUTSIDE, BUF_TRAP, BUF_SPIN };

#define FROM(module, name) __attribute__((import_module(module), import_name(name)))
typedef uint32_t i;
typedef uint64_t l;

FROM("bungee", "log") void host_log(i, i, i);
FROM("bungee", "canceled") i canceled(void);

// All of WASI but for proc_exit, as a table of the name and its parameters' letters.
#define WASI_FUNCTIONS(F) \
  F(args_get, I(0), I(1)) F(args_sizes_get, I(0), I(1)) F(clock_res_get, I(0), I(1)) F(clock_time_get, I(0), L(1), I(2)) \
  F(environ_get, I(0), I(1)) F(environ_sizes_get, I(0), I(1)) F(fd_advise, I(0), L(1), L(2), I(3)) \
  F(fd_allocate, I(0), L(1), L(2)) F(fd_close, I(0)) F(fd_datasync, I(0)) F(fd_fdstat_get, I(0), I(1)) \
  F(fd_fdstat_set_flags, I(0), I(1)) F(fd_fdstat_set_rights, I(0), L(1), L(2)) F(fd_filestat_get, I(0), I(1)) \
  F(fd_filestat_set_size, I(0), L(1)) F(fd_filestat_set_times, I(0), L(1), L(2), I(3)) F(fd_pread, I(0), I(1), I(2), L(3), I(4)) \
  F(fd_prestat_dir_name, I(0), I(1), I(2)) F(fd_prestat_get, I(0), I(1)) F(fd_pwrite, I(0), I(1), I(2), L(3), I(4)) \
  F(fd_read, I(0), I(1), I(2), I(3)) F(fd_readdir, I(0), I(1), I(2), L(3), I(4)) F(fd_renumber, I(0), I(1)) \
  F(fd_seek, I(0), L(1), I(2), I(3)) F(fd_sync, I(0)) F(fd_tell, I(0), I(1)) F(fd_write, I(0), I(1), I(2), I(3)) \
  F(path_create_directory, I(0), I(1), I(2)) F(path_filestat_get, I(0), I(1), I(2), I(3), I(4)) \
  F(path_filestat_set_times, I(0), I(1), I(2), I(3), L(4), L(5), I(6)) F(path_link, I(0), I(1), I(2), I(3), I(4), I(5), I(6)) \
  F(path_open, I(0), I(1), I(2), I(3), I(4), L(5), L(6), I(7), I(8)) F(path_readlink, I(0), I(1), I(2), I(3), I(4), I(5)) \
  F(path_remove_directory, I(0), I(1), I(2)) F(path_rename, I(0), I(1), I(2), I(3), I(4), I(5)) \
  F(path_symlink, I(0), I(1), I(2), I(3), I(4)) F(path_unlink_file, I(0), I(1), I(2)) F(poll_oneoff, I(0), I(1), I(2), I(3)) \
  F(proc_raise, I(0)) F(random_get, I(0), I(1)) F(sched_yield) F(sock_accept, I(0), I(1), I(2)) \
  F(sock_recv, I(0), I(1), I(2), I(3), I(4), I(5)) F(sock_send, I(0), I(1), I(2), I(3), I(4)) F(sock_shutdown, I(0), I(1))

#define EGRESS_FUNCTIONS(F) \
  F(http, I(0), I(1), I(2), I(3), I(4), I(5), I(6), I(7), L(8)) F(status, I(0)) F(header, I(0), I(1), I(2)) \
  F(dial, I(0), I(1), L(2)) F(read, I(0), I(1), I(2), L(3)) F(write, I(0), I(1), I(2), L(3)) F(close, I(0)) F(last_error, I(0), I(1))

#define SCRATCH_FUNCTIONS(F) F(get, I(0), I(1), I(2), I(3)) F(set, I(0), I(1), I(2), I(3))

#define NN_FUNCTIONS(F) \
  F(load, I(0), I(1), I(2), I(3), I(4)) F(load_by_name, I(0), I(1), I(2)) F(init_execution_context, I(0), I(1)) \
  F(set_input, I(0), I(1), I(2)) F(compute, I(0)) F(get_output, I(0), I(1), I(2), I(3), I(4)) \
  F(bungee_set_image, I(0), I(1), I(2), I(3), I(4)) F(bungee_inputs, I(0), I(1)) F(bungee_input_shape, I(0), I(1), I(2), I(3), I(4)) \
  F(bungee_outputs, I(0), I(1)) F(bungee_output_shape, I(0), I(1), I(2), I(3), I(4)) F(bungee_drop_context, I(0)) \
  F(bungee_drop_graph, I(0)) F(bungee_last_error, I(0), I(1), I(2))

#define I(k) i
#define L(k) l
#define DECLARE(name, ...) FROM(MODULE, #name) i CAT(PREFIX, name)(__VA_ARGS__);
#define CAT(a, b) CAT2(a, b)
#define CAT2(a, b) a##b

#define MODULE "wasi_snapshot_preview1"
#define PREFIX wasi_
WASI_FUNCTIONS(DECLARE)
FROM("wasi_snapshot_preview1", "proc_exit") void proc_exit(i);
#undef MODULE
#undef PREFIX
#define MODULE "bungee_egress"
#define PREFIX egress_
EGRESS_FUNCTIONS(DECLARE)
#undef MODULE
#undef PREFIX
#define MODULE "bungee_scratch"
#define PREFIX scratch_
SCRATCH_FUNCTIONS(DECLARE)
#ifdef NN
#undef MODULE
#undef PREFIX
#define MODULE "wasi_ephemeral_nn"
#define PREFIX nn_
NN_FUNCTIONS(DECLARE)
#endif
#undef I
#undef L

// CALL calls the function whose number is n, counted down from the first one of the table.
#define I(k) ((i)a[k])
#define L(k) a[k]
#define CALL(name, ...) \
  if (n-- == 0) return CAT(PREFIX, name)(__VA_ARGS__);

#undef PREFIX
#define PREFIX wasi_
static i wasi(i n, const l *a) { WASI_FUNCTIONS(CALL) __builtin_trap(); }
#undef PREFIX
#define PREFIX egress_
static i egress(i n, const l *a) { EGRESS_FUNCTIONS(CALL) __builtin_trap(); }
#undef PREFIX
#define PREFIX scratch_
static i scratch(i n, const l *a) { SCRATCH_FUNCTIONS(CALL) __builtin_trap(); }
#undef PREFIX
#define PREFIX nn_
#ifdef NN
static i nn(i n, const l *a) { NN_FUNCTIONS(CALL) __builtin_trap(); }
#else
static i nn(i n, const l *a) { __builtin_trap(); }
#endif

// The request, which has room for a reply's status in front of it, and replies.
static uint8_t room[8 + 2 * SMALL], out[SMALL];

// What host functions may write to: all that is below the guest's own variables and its stack (--global-base), since
// an address and a length that were mixed up reach far beyond the pages that are meant.
#define ground ((volatile uint8_t *)PAGE)

static l reply(const void *p, i n) { return (l)(uintptr_t)p << 32 | n; }

static l number(i v) {
  out[0] = 0;
  __builtin_memcpy(out + 1, &v, 4);
  return reply(out, 5);
}

static void spin(void) {
  for (volatile i k = 0;; k++) {}
}

static volatile i zero, depth;

__attribute__((noinline)) static i recurse(i n) {
  depth = n;
  return recurse(n + 1) + depth;
}

static i one(void) { return 1; }
static void *volatile functions[] = {one};

static i grow(void) {
  i n = 0;
  while (__builtin_wasm_memory_grow(0, 1) != (uintptr_t)-1) n++;
  return n;
}

// fill_scratch sets values until there is no room, and returns the errno of that.
static i fill_scratch(void) {
  for (i k = 0; k < 2000; k++) {
    *(volatile i *)ground = k;
    i e = scratch_set((i)(uintptr_t)ground, 4, (i)(uintptr_t)ground, SMALL);
    if (e) return e;
  }
  return 0;
}

__attribute__((export_name("bungee_abi"))) i bungee_abi(void) { return 1; }

__attribute__((export_name("bungee_buf"))) i bungee_buf(i n) {
  switch (n) {
  case BUF_NONE: return 0;
  case BUF_OUTSIDE: return 0xfffffff0;
  case BUF_TRAP: __builtin_trap();
  case BUF_SPIN: spin();
  }
  return n <= 2 * SMALL ? (i)(uintptr_t)(room + 8) : 0;
}

__attribute__((export_name("bungee_call"))) l bungee_call(i fn, uint8_t *in, i n, int64_t deadline) {
  i x = n >= 4 ? *(i *)in : 0;
  const l *a = (const l *)(in + 8); // the arguments of host functions
  uint8_t *end = (uint8_t *)(uintptr_t)(__builtin_wasm_memory_size(0) * PAGE);
  switch (fn) {
  case ECHO:
    in[-1] = 0;
    return reply(in - 1, n + 1);
  case UNREACHABLE: __builtin_trap();
  case LOAD_OUTSIDE: return number(*(volatile i *)(end - 4 + 1 + x % 3));
  case STORE_OUTSIDE: *(volatile i *)(end - 4 + 1 + x % 3) = 1; return number(0);
  case FILL_OUTSIDE: __builtin_memset(end - 8, 1, 9 + x); return number(*(volatile i *)ground);
  case COPY_OUTSIDE: __builtin_memmove(end - 8, out, 9 + x); return number(*(volatile i *)ground);
  case DIVIDE: return number((int32_t)x / (int32_t)zero);
  case OVERFLOW: return number((int32_t)(zero + 0x80000000u) / ((int32_t)zero - 1));
  case TRUNCATE: return number(__builtin_wasm_trunc_s_i32_f32((float)zero / (float)zero));
  case RECURSE: return number(recurse(0));
  case CALL_NONE: return number(((i (*)(void))(uintptr_t)zero)());
  case CALL_OTHER: return number((i)((l (*)(l))functions[0])(x));
  case CALL_PAST: return number(((i (*)(void))(uintptr_t)(1000 + x))());
  case GROW: return number(grow());
  case GROW_TRAP: grow(); __builtin_trap();
  case BURN: spin();
  case WAIT:
    while (!canceled() || x) {}
    return number(0);
  case SLEEP: // a subscription to the clock, of an hour
    for (i k = 0; k < 48; k++) ground[k] = 0;
    *(volatile l *)(ground + 24) = 3600000000000ull;
    return number(wasi_poll_oneoff((i)(uintptr_t)ground, (i)(uintptr_t)ground + 64, 1, (i)(uintptr_t)ground + 128));
  case EXIT: proc_exit(x); __builtin_trap();
  case REPLY_OUTSIDE: return (l)(x | 0x80000000u) << 32 | 100;
  case REPLY_EMPTY: return reply(out, 0);
  case STATUS: out[0] = x; return reply(out, 2);
  case PANIC:
    __builtin_memcpy(out, "\2hostile", 8);
    return reply(out, 8);
  case LARGE: // than the policy lets a reply be
    if (__builtin_wasm_memory_size(0) < 16) __builtin_wasm_memory_grow(0, 16);
    ground[0] = 0;
    return reply((void *)ground, 12 * PAGE);
  case LOG_OUTSIDE: host_log(0, (i)(uintptr_t)end - 1, 2 + x); return number(0);
  case WASI: return number(wasi(x, a));
  case EGRESS: return number(egress(x, a));
  case SCRATCH: return number(scratch(x, a));
  case FILL_SCRATCH: return number(fill_scratch());
  case NN_CALL: return number(nn(x, a));
  case REQUEST: return number((i)(uintptr_t)in);
  case HANDLE: // by the argument: an outcome without values, a trap, or what is no outcome
    if (x == 1) __builtin_trap();
    if (x == 2) spin();
    out[0] = 0;
    for (int k = 1; k < 5; k++) out[k] = x == 3 ? 255 : 0;
    return reply(out, x == 4 ? 0 : 5);
  case SAVE: out[0] = 0; return reply(out, 2);
  case RESTORE: // refuses one that is no state of its own
    out[0] = n != 1;
    out[1] = out[2] = 0;
    return reply(out, n == 1 ? 1 : 3);
  }
  __builtin_trap();
}
