;; A function for each way that control can flow.
(module
  (memory (export "memory") 1 8)
  (table $t 4 16 funcref)
  (elem (i32.const 0) $one $two)
  (type $unary (func (param i32) (result i32)))
  (global $count (export "count") (mut i32) (i32.const 0))

  (func $one (type $unary) (i32.add (local.get 0) (i32.const 1)))
  (func $two (type $unary) (call $one (call $one (local.get 0))))

  (func (export "straight") (param i32) (result i32)
    (i32.mul (i32.add (local.get 0) (i32.const 7)) (i32.const 3)))

  (func (export "nothing") (param i32) (result i32) (local.get 0))

  (func (export "if") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (local.set 0 (i32.const 5))))
    (i32.add (local.get 0) (i32.const 1)))

  (func (export "ifelse") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (local.get 0) (i32.const 1)))
      (else (i32.mul (i32.const 3) (i32.const 4)))))

  (func (export "loop") (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (i32.xor (local.get 1) (i32.const -1)))

  ;; A loop that no branch leads back to, and a block that none leaves.
  (func (export "idle") (param i32) (result i32)
    (loop (block (local.set 0 (i32.add (local.get 0) (i32.const 2)))))
    (i32.clz (local.get 0)))

  (func (export "table") (param i32) (result i32)
    (block $c
      (block $b
        (block $a (br_table $a $b $c $b (local.get 0)))
        (return (i32.sub (local.get 0) (i32.const 10))))
      (local.set 0 (i32.mul (local.get 0) (i32.const 2))))
    (i32.add (local.get 0) (i32.const 100)))

  ;; Branches out of several frames, and code that is never reached.
  (func (export "out") (param i32) (result i32)
    (block $outer (result i32)
      (loop $l
        (block $inner
          (br_if $inner (i32.lt_u (local.get 0) (i32.const 10)))
          (local.set 0 (i32.div_u (local.get 0) (i32.const 3)))
          (br $l)
          (drop (f32.add (f32.const 1) (f32.const 2)))
          (loop (if (i32.const 1) (then (br 1)) (else (br 2)))))
        (br $outer (i32.add (local.get 0) (i32.const 1))))
      (unreachable)))

  ;; Both arms of an if leave, and what is behind it is dead.
  (func (export "arms") (param i32) (result i32)
    (if (i32.and (local.get 0) (i32.const 1))
      (then (return (i32.const 11)))
      (else (return (i32.add (local.get 0) (i32.const 22)))))
    (i32.popcnt (local.get 0)))

  (func (export "early") (param i32) (result i32)
    (block (br_if 0 (local.get 0)) (return (i32.const 3)))
    (if (i32.gt_u (local.get 0) (i32.const 5)) (then (return (i32.const 4))))
    (i32.rotl (local.get 0) (i32.const 1)))

  ;; Blocks with parameters and several results.
  (func $swap (param i32 i32) (result i32 i32) (local.get 1) (local.get 0))
  (func (export "values") (param i32) (result i32)
    (call $swap (local.get 0) (i32.const 5))
    (block (param i32 i32) (result i32 i32) (call $swap))
    (if (param i32 i32) (result i32) (local.get 0)
      (then (i32.add))
      (else (i32.sub)))
    (loop (param i32) (result i32) (i32.const 1) (i32.add)))

  (func (export "calls") (param i32) (result i32)
    (i32.add (call $two (local.get 0)) (call_indirect (type $unary) (i32.const 9) (i32.and (local.get 0) (i32.const 1)))))

  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))

  (func (export "memory_") (param i32) (result i32)
    (i32.store (i32.const 8) (local.get 0))
    (global.set $count (i32.add (global.get $count) (i32.load8_s (i32.const 8))))
    (i32.add (memory.size) (select (i32.const 1) (i32.const 2) (local.get 0))))

  ;; Code of an if whose condition is constant, nested in arms.
  (func (export "nested") (param i32) (result i32)
    (if (local.get 0)
      (then
        (if (i32.and (local.get 0) (i32.const 2))
          (then (local.set 0 (i32.shl (local.get 0) (i32.const 3))))
          (else (nop))))
      (else (if (i32.const 0) (then (unreachable)))))
    (local.get 0))
)
