;; A guest with an element for a place past its table.
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 5) func $f)
  (func $f)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 16))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x800000001))
)
