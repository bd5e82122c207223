;; A guest with data for an address just past its memory.
(module
  (memory (export "memory") 1)
  (data (i32.const 0x10000) "x")
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 16))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x800000001))
)
