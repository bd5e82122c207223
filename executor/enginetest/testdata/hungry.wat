;; A guest that asks for memory as much as it is told, and does one thing or another
;; where it gets none. The request is a number of pages.
(module
  (memory (export "memory") 1 64)
  (func (export "bungee_abi") (result i32) (i32.const 1))

  ;; Where a request does not fit, the buffer is new memory, as malloc would return it.
  (func (export "bungee_buf") (param $n i32) (result i32)
    (local $at i32)
    (if (i32.le_u (local.get $n) (i32.const 4096)) (then (return (i32.const 1024))))
    (local.set $at (memory.grow (i32.shr_u (i32.add (local.get $n) (i32.const 65535)) (i32.const 16))))
    (if (i32.eq (local.get $at) (i32.const -1)) (then unreachable))
    (i32.shl (local.get $at) (i32.const 16)))

  (func (export "bungee_call") (param $fn i32) (param $ptr i32) (param $n i32) (param $deadline i64) (result i64)
    (local $got i32)
    (if (i32.ne (local.get $fn) (i32.const 2))
      (then (local.set $got (memory.grow (i32.load (local.get $ptr))))))
    (if (i32.eqz (local.get $fn)) ;; 0 abort without it
      (then (if (i32.eq (local.get $got) (i32.const -1)) (then unreachable))))
    ;; 1 do without it
    (if (i32.ge_u (local.get $fn) (i32.const 2)) ;; 2 trap, 3 do without it and trap
      (then (drop (i32.load (i32.const 0xfffffff0)))))
    (i32.store (i32.const 16) (local.get $got))
    (i64.const 0xf00000005)))
