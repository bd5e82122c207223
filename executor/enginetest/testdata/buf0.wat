;; A guest that answers requests of no bytes with an address outside its memory for them.
(module
  (memory (export "memory") 1)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const -1))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x800000001))
)
