;; A guest whose start function logs, before anything else of it runs.
(module
  (import "bungee" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "hello")
  (func $main (call $log (i32.const 0) (i32.const 8) (i32.const 5)))
  (start $main)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x100000001)))
