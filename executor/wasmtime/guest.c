//go:build cgo

#include "guest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

// The names of what a guest exports: package internal/abi and package instrument.
#define EXPORT(g, instance, name, out) export((g), (instance), name, sizeof name - 1, (out))

static bool export(bungee_guest *g, const wasmtime_instance *instance, const char *name, size_t n, wasmtime_extern *out) {
  return wasmtime_instance_export_get(g->context, instance, name, n, out);
}

// see_memory reads where the memory is: it may move, and grow, while guest code runs.
static void see_memory(bungee_guest *g) {
  if (g->memory.store_id == 0) return; // not made yet
  g->base = wasmtime_memory_data(g->context, &g->memory);
  g->size = wasmtime_memory_data_size(g->context, &g->memory);
}

// A guest whose tenant has had far less than others is preferred to their guests and to the network, as long as it computes for no longer than the
// least slice of a turn: beside attackers those would have most of the core.
enum { preference = 8, preferred_for = 3000000 }; // ns

static int64_t thread_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// prefer has the thread run before others of the process, or as they do. It does nothing where the process may not: RLIMIT_NICE bounds
// it. Only Linux has a nice value for each thread.
static void prefer(bungee_guest *g, bool yes) {
#ifdef __linux__
  static atomic_bool refused;
  if (g->preferred == yes || (yes && atomic_load_explicit(&refused, memory_order_relaxed))) return;
  if (yes) g->nice = getpriority(PRIO_PROCESS, 0);
  if (setpriority(PRIO_PROCESS, 0, yes ? g->nice - preference : g->nice) == 0) {
    g->preferred = yes;
  } else {
    atomic_store_explicit(&refused, true, memory_order_relaxed);
  }
#else
  (void)g, (void)yes;
#endif
}

// add_time adds to cpu the time since it did so last.
static void add_time(bungee_guest *g) {
  if (!g->timed) return;
  int64_t now = thread_time();
  g->cpu += now - g->began;
  g->began = now;
}

// enter and leave are around guest code: what it calls is not preferred, and what Go's runtime starts there is not either.
static void enter(bungee_guest *g) {
  if (g->ahead && g->cpu <= preferred_for) prefer(g, true);
}

static void leave(bungee_guest *g) { prefer(g, false); }

static void begin(bungee_guest *g) {
  if (g->timed) g->began = thread_time();
  enter(g);
}

static void end(bungee_guest *g) {
  add_time(g);
  leave(g);
}

// host is each function that a guest imports; env is the import's index. The words are
// packed in place: wasmtime has one each 16 bytes, Go one each 8.
static wasm_trap *host(void *env, wasmtime_caller *caller, wasmtime_val_raw *raw, size_t n) {
  bungee_guest *g = wasmtime_context_get_data(wasmtime_caller_context(caller));
  wasmtime_extern memory;
  // A start function runs before there is an instance to ask.
  if (g->memory.store_id == 0 && wasmtime_caller_export_get(caller, "memory", 6, &memory)) g->memory = memory.of.memory;
  see_memory(g);
  g->entered = true;
  uint64_t *words = (uint64_t *)raw;
  for (size_t i = 1; i < n; i++) words[i] = words[2 * i];
  leave(g);
  bool ok = bungee_host(g->self, (size_t)env, words, n);
  enter(g);
  for (size_t i = n; i-- > 1;) words[2 * i] = words[i];
  return ok ? NULL : wasmtime_trap_new("host function", 13);
}

// tick is called at the first epoch check of guest code after a tick of the clock.
static wasmtime_error *tick(wasmtime_context *context, void *data, uint64_t *delta, uint8_t *kind) {
  (void)context;
  bungee_guest *g = data;
  see_memory(g);
  g->entered = true;
  *delta = 1;
  *kind = 0; // go on
  add_time(g);
  leave(g);
  bool on = bungee_tick(g->self);
  enter(g);
  return on ? NULL : wasmtime_error_new("stopped");
}

static void set_fuel(bungee_guest *g) {
  if (g->fuel_global.store_id == 0) return;
  wasmtime_val v = {.kind = WASMTIME_I64, .of.i64 = g->fuel};
  wasmtime_error *e = wasmtime_global_set(g->context, &g->fuel_global, &v);
  if (e) wasmtime_error_delete(e); // another type: start would have refused it
}

static void get_fuel(bungee_guest *g) {
  if (g->fuel_global.store_id == 0) return;
  wasmtime_val v;
  wasmtime_global_get(g->context, &g->fuel_global, &v);
  g->fuel = v.of.i64;
}

// result takes error and trap, of which one at most is not NULL.
static bungee_result result(wasmtime_error *error, wasm_trap *trap) {
  bungee_result r = {{0, NULL}, false};
  if (error) {
    wasmtime_error_message(error, &r.message);
    wasmtime_error_delete(error);
  } else if (trap) {
    wasm_trap_message(trap, &r.message);
    wasm_trap_delete(trap);
  }
  return r;
}

static bungee_result call(bungee_guest *g, const wasmtime_func *f) {
  wasm_trap *trap = NULL;
  wasmtime_error *error = wasmtime_func_call_unchecked(g->context, f, g->words, BUNGEE_WORDS, &trap);
  return result(error, trap);
}

bungee_result bungee_guest_call(bungee_guest *g, uint8_t *self, int func) {
  begin(g);
  g->self = self;
  wasmtime_context_set_epoch_deadline(g->context, 1);
  set_fuel(g);
  bungee_result r = call(g, &g->funcs[func]);
  get_fuel(g);
  see_memory(g);
  g->self = NULL;
  end(g);
  return r;
}

// find finds what the guest exports. Load has checked that it is there, and of which type.
static void find(bungee_guest *g, const wasmtime_instance *instance) {
  wasmtime_extern e;
  if (EXPORT(g, instance, "memory", &e)) g->memory = e.of.memory;
  if (EXPORT(g, instance, "bungee_abi", &e)) g->funcs[BUNGEE_ABI] = e.of.func;
  if (EXPORT(g, instance, "bungee_buf", &e)) g->funcs[BUNGEE_BUF] = e.of.func;
  if (EXPORT(g, instance, "bungee_call", &e)) g->funcs[BUNGEE_CALL] = e.of.func;
  if (g->metered && EXPORT(g, instance, "bungee_fuel", &e) && e.kind == WASMTIME_GLOBAL) g->fuel_global = e.of.global;
  if (EXPORT(g, instance, "bungee_refused", &e) && e.kind == WASMTIME_GLOBAL) g->refused_global = e.of.global;
}

static bungee_result start(bungee_guest *g, bungee_module *m) {
  wasmtime_instance instance;
  wasm_trap *trap = NULL;
  wasmtime_error *error = wasmtime_instance_pre_instantiate(m->pre, g->context, &instance, &trap);
  if (error || trap) {
    bungee_result r = result(error, trap);
    r.refused = !trap && !g->entered;
    return r;
  }
  find(g, &instance);
  see_memory(g);
  bungee_pages_before(g, m);
  wasmtime_extern init;
  if (!EXPORT(g, &instance, "_initialize", &init)) return result(NULL, NULL);
  set_fuel(g);
  bungee_result r = call(g, &init.of.func);
  get_fuel(g);
  return r;
}

bungee_result bungee_guest_start(bungee_guest *g, uint8_t *self, bungee_module *m) {
  begin(g);
  g->self = self;
  wasmtime_context_set_epoch_deadline(g->context, 1);
  bungee_result r = start(g, m);
  see_memory(g);
  bungee_pages_after(g, m);
  g->self = NULL;
  end(g);
  return r;
}

bungee_guest *bungee_guest_new(const bungee_module *m, bungee_limits limits, bool metered) {
  bungee_guest *g = calloc(1, sizeof *g);
  if (!g) abort(); // as Go and wasmtime do
  g->metered = metered;
  g->store = wasmtime_store_new(m->engine, g, NULL);
  g->context = wasmtime_store_context(g->store);
  wasmtime_store_limiter(g->store, limits.memory, limits.elements, 1, limits.tables, 1);
  wasmtime_store_epoch_deadline_callback(g->store, tick, g, NULL);
  return g;
}

bool bungee_guest_refused(const bungee_guest *g) {
  if (g->refused_global.store_id == 0) return false; // it trapped before there was an instance
  wasmtime_val v;
  wasmtime_global_get(g->context, &g->refused_global, &v);
  return v.of.i32 != 0;
}

bool bungee_guest_shed(bungee_guest *g, size_t at, size_t n) {
  see_memory(g);
  if (at >= g->size) return false;
  if (n > g->size - at) n = g->size - at;
  bungee_pages_discard(g->base + at, n);
  return at + n < g->size;
}

void bungee_guest_delete(bungee_guest *g) {
  wasmtime_store_delete(g->store);
  free(g);
}

void bungee_free(wasm_bytes b) { wasm_byte_vec_delete(&b); }

// define gives linker a host function for import k of a module.
static bool define(wasmtime_linker *linker, const wasm_importtype *import, size_t k) {
  const wasm_functype *type = wasm_externtype_as_functype_const(wasm_importtype_type(import));
  if (!type) return false;
  const wasm_bytes *module = wasm_importtype_module(import), *name = wasm_importtype_name(import);
  wasmtime_error *error = wasmtime_linker_define_func_unchecked(linker, module->data, module->size, name->data, name->size,
                                                                type, host, (void *)k, NULL);
  if (error) wasmtime_error_delete(error);
  return !error;
}

static wasmtime_instance_pre *link_all(wasmtime_linker *linker, wasmtime_module *module) {
  wasm_importtypes imports;
  wasmtime_module_imports(module, &imports);
  bool ok = true;
  for (size_t k = 0; ok && k < imports.size; k++) ok = define(linker, imports.data[k], k);
  wasm_importtype_vec_delete(&imports);
  wasmtime_instance_pre *pre = NULL;
  if (!ok) return NULL;
  wasmtime_error *error = wasmtime_linker_instantiate_pre(linker, module, &pre);
  if (!error) return pre;
  wasmtime_error_delete(error); // one name with two types
  return NULL;
}

bungee_module *bungee_link(wasm_engine *engine, wasmtime_module *module) {
  wasmtime_linker *linker = wasmtime_linker_new(engine);
  wasmtime_linker_allow_shadowing(linker, true); // a module may import a function twice
  wasmtime_instance_pre *pre = link_all(linker, module);
  wasmtime_linker_delete(linker);
  if (!pre) return NULL;
  bungee_module *m = calloc(1, sizeof *m);
  if (!m) abort();
  m->engine = wasmtime_engine_clone(engine);
  m->pre = pre;
  return m;
}

void bungee_unlink(bungee_module *m) {
  wasmtime_instance_pre_delete(m->pre);
  wasm_engine_delete(m->engine);
  free(m);
}
