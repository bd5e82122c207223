// What this package needs of wasmtime's C API beyond wasmtime-go's Go API. The
// headers of wasmtime-go cannot be included from here, so that native.h declares
// what is used; TestVersion fails when the version is another.

#ifndef BUNGEE_GUEST_H
#define BUNGEE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native.h"

// The functions of a guest, as bungee_guest_call names them.
enum { BUNGEE_ABI, BUNGEE_BUF, BUNGEE_CALL, BUNGEE_FUNCS };

// The most 64-bit words that a function of the guest takes or returns.
enum { BUNGEE_WORDS = 4 };

// A bungee_guest is a store with one instance of a module in it. wasmtime aborts
// the process when parts of two stores meet, so nothing of it leaves this type.
typedef struct {
  wasmtime_store *store;
  wasmtime_context *context;
  wasmtime_func funcs[BUNGEE_FUNCS];
  wasmtime_memory memory;
  wasmtime_global fuel_global, refused_global;
  bool metered;
  bool timed; // thread time is taken
  bool ahead; // others want the core, and its tenant has had far less
  bool preferred; // the thread is, until the guest has computed for a slice
  int nice; // of the thread otherwise
  bool entered; // guest code has called back

  // The Go instance, while guest code runs.
  uint8_t *self;

  // As of the last crossing in either direction.
  uint8_t *base; // of the memory
  size_t size;   // of the memory, in bytes
  int64_t fuel;  // what is left; written before and read after, where metered
  int64_t cpu;   // ns of thread time, summed up where timed
  int64_t began; // thread time as of when it was added to cpu last

  // Parameters in, results out: one each 16 bytes.
  wasmtime_val_raw words[BUNGEE_WORDS];
} bungee_guest;

// Limits of an instance.
typedef struct {
  int64_t memory;   // bytes
  int64_t tables;   // how many
  int64_t elements; // of each table
} bungee_limits;

// A bungee_result says how a crossing went. message is empty when it went well and
// is freed by bungee_free. refused says that no instance was made and no guest code ran.
typedef struct {
  wasm_bytes message;
  bool refused;
} bungee_result;

// The most runs of pages that are remembered. A Go guest has some 20.
enum { BUNGEE_RUNS = 64 };

// A bungee_module is a module that is ready to be instantiated often: what it imports
// is found by the index of the import.
typedef struct {
  wasm_engine *engine; // a reference of its own
  wasmtime_instance_pre *pre;

  bool look; // what its first instance shows of its memory is worth the time: see pages.c

  // What that has shown. Atomic, 0 until known.
  size_t image; // bytes from the start that its data fill
  size_t runs;  // how many there are in run

  struct { size_t at, n; } run[BUNGEE_RUNS]; // bytes that it touches to initialise itself
} bungee_module;

// Makes module ready. NULL when it imports what is no function. The engine and module
// may be closed before it.
bungee_module *bungee_link(wasm_engine *engine, wasmtime_module *module);
void bungee_unlink(bungee_module *m);

// Makes an empty guest for an instance of m, and frees one with all that is in it.
bungee_guest *bungee_guest_new(const bungee_module *m, bungee_limits limits, bool metered);
void bungee_guest_delete(bungee_guest *g);

// Gives back n bytes of the memory from at on, which is lost, and says whether there is more. No guest
// code runs in g any more.
bool bungee_guest_shed(bungee_guest *g, size_t at, size_t n);

// Makes the instance and runs its start function and _initialize.
bungee_result bungee_guest_start(bungee_guest *g, uint8_t *self, bungee_module *m);

// Around the guest's initialisation: has the system bring all that it will touch at
// once, and gives back what is still zero.
void bungee_pages_before(bungee_guest *g, bungee_module *m);
void bungee_pages_after(bungee_guest *g, bungee_module *m);
void bungee_pages_discard(uint8_t *p, size_t n);

// Calls a function of a started guest on its words.
bungee_result bungee_guest_call(bungee_guest *g, uint8_t *self, int func);

// Whether the guest was refused memory since its call began.
bool bungee_guest_refused(const bungee_guest *g);

// Frees a message.
void bungee_free(wasm_bytes b);

// The most tables of an instance. Compilers make one, or two where they use references.
enum { BUNGEE_TABLES = 4 };

// A bungee_pool is how the pooling allocator is set up.
typedef struct {
  uint32_t instances;
  size_t table_elements; // of a table
  size_t memory;         // bytes
} bungee_pool;

// Makes config use the pooling allocator.
void bungee_config_pool(wasm_config *config, bungee_pool pool);

// How many bytes of stack a new thread has.
size_t bungee_thread_stack(void);

// Makes config give guests so many of them.
void bungee_config_stack(wasm_config *config, size_t bytes);

// Whether so many bytes of address space can be had (RLIMIT_AS), and so many of these be
// writable, used or not (RLIMIT_DATA, and strict overcommit).
bool bungee_reserve(size_t bytes, size_t writable);

// Defined in Go: call import k on words, one each 8 bytes, in place; and look
// whether the guest may go on. False stops it.
bool bungee_host(uint8_t *self, size_t k, uint64_t *words, size_t n);
bool bungee_tick(uint8_t *self);

#endif
