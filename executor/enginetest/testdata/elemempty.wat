;; A guest with no elements for a place past its second table.
(module
  (memory (export "memory") 1)
  (table 8 funcref)
  (table $t 1 funcref)
  (elem (table $t) (i32.const 2) func)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 16))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x800000001))
)
