;; A guest whose use of things is known.
(module
  (import "test" "pause" (func $pause (param i32)))
  (memory (export "memory") 1)
  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 1024))

  ;; Each round takes the host's time at one size of memory and grows it then.
  (func $grow (param $rounds i32)
    (loop $again
      (call $pause (memory.size))
      (if (i32.eqz (local.get $rounds)) (then return))
      (drop (memory.grow (i32.const 16)))
      (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
      (br $again)))

  (func $compute (param $rounds i32) (result i64)
    (local $x i64)
    (local.set $x (i64.const 88172645463325252))
    (loop $again
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $x))

  ;; The request is the number of rounds. The payload is a random number.
  (func (export "bungee_call") (param $fn i32) (param $ptr i32) (param $n i32) (param $deadline i64) (result i64)
    (if (i32.eqz (local.get $fn)) (then (call $grow (i32.load (local.get $ptr))))) ;; 0 grow
    (if (i32.eq (local.get $fn) (i32.const 1)) ;; 1 compute
      (then (i64.store (i32.const 16) (call $compute (i32.load (local.get $ptr))))))
    (if (i32.eq (local.get $fn) (i32.const 2)) ;; 2 compute for ever
      (then (loop $again (drop (call $compute (i32.const 1000))) (br $again))))
    (i64.const 0xf00000009)))
