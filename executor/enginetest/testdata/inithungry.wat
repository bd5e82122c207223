;; A guest that needs more memory than any limit to initialise itself.
(module
  (memory (export "memory") 1)
  (func (export "_initialize")
    (if (i32.eq (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable)))
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0)))
