;; A guest whose two tables begin with more elements than one may have, together.
(module
  (memory (export "memory") 1)
  (table 700000 funcref)
  (table 700000 externref)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x100000001)))
