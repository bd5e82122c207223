;; A guest that works before its first call: in its start function, in _initialize, and by
;; segments of 128 bytes and 16 elements. It pauses as often as it begins one of the two.
(module
  (import "test" "pause" (func $pause (param i32)))
  (memory (export "memory") 2)
  (table 16 funcref)
  (elem (i32.const 0) $work $work $work $work $work $work $work $work $work $work $work $work $work $work $work $work)
  (data (i32.const 1024) "0123456789012345678901234567890123456789012345678901234567890123")
  (data (i32.const 2048) "0123456789012345678901234567890123456789012345678901234567890123")
  (func $work
    (local $n i32)
    (local.set $n (i32.const 1000))
    (loop $again
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (local.get $n))))
  (func $main (call $pause (i32.const 1)) (call $work))
  (start $main)
  (func (export "_initialize") (call $pause (i32.const 2)) (call $work))
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))
  (func (export "bungee_call") (param i32 i32 i32 i64) (result i64) (i64.const 0x100000001)))
