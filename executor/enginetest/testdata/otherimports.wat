;; A guest that imports what is no function: no host has such.
(module
  (import "env" "func" (func))
  (import "env" "table" (table 1 funcref))
  (import "env" "global" (global i32))
  (import "env" "memory" (memory 1))
  (export "memory" (memory 0))
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x100000001)))
