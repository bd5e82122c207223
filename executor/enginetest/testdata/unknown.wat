;; A guest that imports what no host has.
(module
  (import "env" "foo" (func (param i32)))
  (import "nn" "warp" (func (param i32 f32) (result i64)))
  (import "bungee" "now" (func (result i32))) ;; known, with another type
  (import "wasi_snapshot_preview1" "fly" (func))
  (memory (export "memory") 1)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x100000001)))
