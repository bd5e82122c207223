// Declarations of the C API of wasmtime 44.0.0, by hand: what this package uses, and
// no more. Names, layouts and signatures are those of wasmtime/*.h and wasm.h of that version.

#ifndef BUNGEE_NATIVE_H
#define BUNGEE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wasm_engine_t wasm_engine;
typedef struct wasm_config_t wasm_config;
typedef struct wasm_trap_t wasm_trap;
typedef struct wasm_importtype_t wasm_importtype;
typedef struct wasm_externtype_t wasm_externtype;
typedef struct wasm_functype_t wasm_functype;
typedef struct wasmtime_module wasmtime_module;
typedef struct wasmtime_store wasmtime_store;
typedef struct wasmtime_context wasmtime_context;
typedef struct wasmtime_linker wasmtime_linker;
typedef struct wasmtime_instance_pre wasmtime_instance_pre;
typedef struct wasmtime_caller wasmtime_caller;
typedef struct wasmtime_error wasmtime_error;
typedef struct wasmtime_pooling_config wasmtime_pooling_config;

typedef struct { size_t size; char *data; } wasm_bytes;
typedef struct { size_t size; wasm_importtype **data; } wasm_importtypes;

// A store_id of 0 is no value.
typedef struct { uint64_t store_id; void *private1; } wasmtime_func;
typedef struct { uint64_t store_id; size_t private1; } wasmtime_instance;
typedef struct { struct { uint64_t store_id; uint32_t private1; }; uint32_t private2; } wasmtime_memory;
typedef struct { uint64_t store_id; uint32_t private1, private2, private3; } wasmtime_global;

enum { WASMTIME_FUNC = 0, WASMTIME_GLOBAL = 1, WASMTIME_MEMORY = 3 };
typedef struct {
  uint8_t kind;
  union { wasmtime_func func; wasmtime_memory memory; wasmtime_global global; } of;
} wasmtime_extern;

enum { WASMTIME_I32 = 0, WASMTIME_I64 = 1 };
typedef struct {
  uint8_t kind;
  union { int32_t i32; int64_t i64; struct { uint64_t a, b; void *c; } widest; } of;
} wasmtime_val;
typedef struct { uint64_t word, upper; } wasmtime_val_raw;

typedef wasm_trap *(*wasmtime_callback)(void *env, wasmtime_caller *, wasmtime_val_raw *, size_t);
typedef wasmtime_error *(*wasmtime_epoch_callback)(wasmtime_context *, void *data, uint64_t *delta, uint8_t *kind);

void wasmtime_config_max_wasm_stack_set(wasm_config *, size_t);
void wasmtime_config_async_stack_size_set(wasm_config *, uint64_t);

wasm_engine *wasmtime_engine_clone(wasm_engine *);
void wasm_engine_delete(wasm_engine *);

void wasm_byte_vec_delete(wasm_bytes *);
void wasm_trap_message(const wasm_trap *, wasm_bytes *out);
void wasm_trap_delete(wasm_trap *);
wasm_trap *wasmtime_trap_new(const char *, size_t);
wasmtime_error *wasmtime_error_new(const char *);
void wasmtime_error_message(const wasmtime_error *, wasm_bytes *out);
void wasmtime_error_delete(wasmtime_error *);

void wasmtime_module_imports(const wasmtime_module *, wasm_importtypes *out);
void wasm_importtype_vec_delete(wasm_importtypes *);
const wasm_bytes *wasm_importtype_module(const wasm_importtype *);
const wasm_bytes *wasm_importtype_name(const wasm_importtype *);
const wasm_externtype *wasm_importtype_type(const wasm_importtype *);
const wasm_functype *wasm_externtype_as_functype_const(const wasm_externtype *);

wasmtime_linker *wasmtime_linker_new(wasm_engine *);
void wasmtime_linker_delete(wasmtime_linker *);
void wasmtime_linker_allow_shadowing(wasmtime_linker *, bool);
wasmtime_error *wasmtime_linker_define_func_unchecked(wasmtime_linker *, const char *module, size_t, const char *name,
                                                      size_t, const wasm_functype *, wasmtime_callback, void *env,
                                                      void (*finalizer)(void *));
wasmtime_error *wasmtime_linker_instantiate_pre(const wasmtime_linker *, const wasmtime_module *, wasmtime_instance_pre **);
wasmtime_error *wasmtime_instance_pre_instantiate(const wasmtime_instance_pre *, wasmtime_context *, wasmtime_instance *,
                                                  wasm_trap **);
void wasmtime_instance_pre_delete(wasmtime_instance_pre *);

wasmtime_store *wasmtime_store_new(wasm_engine *, void *data, void (*finalizer)(void *));
wasmtime_context *wasmtime_store_context(wasmtime_store *);
void wasmtime_store_limiter(wasmtime_store *, int64_t memory, int64_t table, int64_t instances, int64_t tables,
                            int64_t memories);
void wasmtime_store_epoch_deadline_callback(wasmtime_store *, wasmtime_epoch_callback, void *data, void (*finalizer)(void *));
void wasmtime_store_delete(wasmtime_store *);

void *wasmtime_context_get_data(const wasmtime_context *);
void wasmtime_context_set_epoch_deadline(wasmtime_context *, uint64_t delta);
wasmtime_context *wasmtime_caller_context(wasmtime_caller *);
bool wasmtime_caller_export_get(wasmtime_caller *, const char *name, size_t, wasmtime_extern *);
bool wasmtime_instance_export_get(wasmtime_context *, const wasmtime_instance *, const char *name, size_t, wasmtime_extern *);
wasmtime_error *wasmtime_func_call_unchecked(wasmtime_context *, const wasmtime_func *, wasmtime_val_raw *, size_t,
                                             wasm_trap **);
uint8_t *wasmtime_memory_data(const wasmtime_context *, const wasmtime_memory *);
size_t wasmtime_memory_data_size(const wasmtime_context *, const wasmtime_memory *);
void wasmtime_global_get(wasmtime_context *, const wasmtime_global *, wasmtime_val *out);
wasmtime_error *wasmtime_global_set(wasmtime_context *, const wasmtime_global *, const wasmtime_val *);

wasmtime_pooling_config *wasmtime_pooling_allocation_config_new(void);
void wasmtime_pooling_allocation_config_delete(wasmtime_pooling_config *);
void wasmtime_pooling_allocation_config_total_memories_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_total_tables_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_total_core_instances_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_total_component_instances_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_total_stacks_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_total_gc_heaps_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_max_tables_per_module_set(wasmtime_pooling_config *, uint32_t);
void wasmtime_pooling_allocation_config_table_elements_set(wasmtime_pooling_config *, size_t);
void wasmtime_pooling_allocation_config_max_memory_size_set(wasmtime_pooling_config *, size_t);
void wasmtime_pooling_allocation_config_max_core_instance_size_set(wasmtime_pooling_config *, size_t);
void wasmtime_pooling_allocation_strategy_set(wasm_config *, const wasmtime_pooling_config *);

#endif
