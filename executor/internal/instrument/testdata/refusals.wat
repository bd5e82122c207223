;; A guest that asks for memory: before its call, in it, and once more.
(module
  (import "bungee" "canceled" (func $canceled (result i32)))
  (memory (export "memory") 1 8)
  (global (export "own") (mut i32) (i32.const 42))
  (func $ask (export "ask") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "twice") (param i32) (result i32)
    (drop (call $ask (local.get 0)))
    (memory.grow (i32.const 0)))
  (func (export "bungee_buf") (param $n i32) (result i32)
    (call $ask (local.get $n))))
