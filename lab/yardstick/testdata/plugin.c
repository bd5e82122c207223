// An Extism plugin whose function run does nothing. TestPluginIsCurrent builds it with
//
//   clang-19 --target=wasm32 -O2 -nostdlib -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 -o plugin.wasm plugin.c
#include <stdint.h>

__attribute__((export_name("run"))) int32_t run(void) { return 0; }
