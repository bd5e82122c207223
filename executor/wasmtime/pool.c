//go:build cgo

#include "guest.h"

#ifdef __linux__
#include <pthread.h>
#endif
#ifndef _WIN32
#include <sys/mman.h>
#endif

void bungee_config_pool(wasm_config *config, bungee_pool pool) {
  wasmtime_pooling_config *p = wasmtime_pooling_allocation_config_new();
  wasmtime_pooling_allocation_config_total_core_instances_set(p, pool.instances);
  wasmtime_pooling_allocation_config_total_memories_set(p, pool.instances);
  wasmtime_pooling_allocation_config_total_tables_set(p, pool.instances * BUNGEE_TABLES);
  wasmtime_pooling_allocation_config_max_tables_per_module_set(p, BUNGEE_TABLES);
  wasmtime_pooling_allocation_config_table_elements_set(p, pool.table_elements);
  wasmtime_pooling_allocation_config_max_memory_size_set(p, pool.memory);
  // A limit, not a reservation: a Go guest of 10 MB has half a megabyte.
  wasmtime_pooling_allocation_config_max_core_instance_size_set(p, 8 << 20);
  // What is never used: components, and stacks of fibers.
  wasmtime_pooling_allocation_config_total_component_instances_set(p, 0);
  wasmtime_pooling_allocation_config_total_stacks_set(p, 0);
  // A table of externref needs a heap, which is mapped when there is one.
  wasmtime_pooling_allocation_config_total_gc_heaps_set(p, pool.instances);
  wasmtime_pooling_allocation_strategy_set(config, p);
  wasmtime_pooling_allocation_config_delete(p);
}

size_t bungee_thread_stack(void) {
  size_t n = 8 << 20; // what Go asks for where it does not take the system's default
#ifdef __linux__
  // ulimit -s, or 2 MiB where that is unlimited. A guest that had more would end the process.
  pthread_attr_t a;
  if (pthread_attr_init(&a) == 0) {
    pthread_attr_getstacksize(&a, &n);
    pthread_attr_destroy(&a);
  }
#endif
  return n;
}

void bungee_config_stack(wasm_config *config, size_t bytes) {
  wasmtime_config_max_wasm_stack_set(config, bytes);
  // Nothing here is asynchronous, but wasmtime wants the stacks of fibers to be no smaller.
  wasmtime_config_async_stack_size_set(config, 2 * (uint64_t)bytes);
}

#ifndef _WIN32
static void *map(size_t bytes, int protection) {
  return mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
#endif

bool bungee_reserve(size_t bytes, size_t writable) {
#ifdef _WIN32
  return false; // not tried there
#else
  void *all = map(bytes, PROT_NONE);
  if (all == MAP_FAILED) return false;
  void *data = map(writable, PROT_READ | PROT_WRITE);
  munmap(all, bytes);
  if (data == MAP_FAILED) return false;
  munmap(data, writable);
  return true;
#endif
}
