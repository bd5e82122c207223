;; A guest that begins with 1 GiB of memory.
(module
  (memory (export "memory") 16384)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x100000001)))
