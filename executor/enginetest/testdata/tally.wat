;; A far endpoint: guest function 0 handles a message, 1 saves the state, 2
;; restores it. A message, a value and the state are msgpack bytes of length 8
;; (c4 08) that hold a little-endian i64. The state is a hash of all messages in
;; their order, and each message's one value is the state after it.
;; Message -1 traps, message -2 spins for ever.
(module
  (memory (export "memory") 2)
  (global $state (mut i64) (i64.const 0))

  (func (export "bungee_abi") (result i32) (i32.const 1))

  ;; The buffer is the second page. What does not fit gets none.
  (func (export "bungee_buf") (param $n i32) (result i32)
    (if (i32.gt_u (local.get $n) (i32.const 65536)) (then (return (i32.const 0))))
    (i32.const 65536))

  ;; A reply of $n bytes that begins at address 16.
  (func $reply (param $n i32) (result i64)
    (i64.or (i64.const 0x1000000000) (i64.extend_i32_u (local.get $n))))

  ;; The state at $at, as msgpack bytes.
  (func $put (param $at i32)
    (i32.store16 (local.get $at) (i32.const 0x08c4))
    (i64.store (i32.add (local.get $at) (i32.const 2)) (global.get $state)))

  ;; An outcome is status 0, the number of values in four big-endian bytes, and them.
  (func $handle (param $in i64) (result i64)
    (if (i64.eq (local.get $in) (i64.const -1)) (then unreachable))
    (if (i64.eq (local.get $in) (i64.const -2)) (then (loop $again (br $again))))
    (global.set $state
      (i64.add (i64.mul (global.get $state) (i64.const 1000003)) (local.get $in)))
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 17) (i32.const 0x01000000))
    (call $put (i32.const 21))
    (call $reply (i32.const 15)))

  (func (export "bungee_call") (param $fn i32) (param $ptr i32) (param $n i32) (param $deadline i64) (result i64)
    (if (i32.eqz (local.get $fn))
      (then (return (call $handle (i64.load (i32.add (local.get $ptr) (i32.const 2)))))))
    (i32.store8 (i32.const 16) (i32.const 0))
    (if (i32.eq (local.get $fn) (i32.const 1))
      (then
        (call $put (i32.const 17))
        (return (call $reply (i32.const 11)))))
    (if (i32.eq (local.get $fn) (i32.const 2))
      (then
        (global.set $state (i64.const 0))
        (if (local.get $n)
          (then (global.set $state (i64.load (i32.add (local.get $ptr) (i32.const 2))))))
        (return (call $reply (i32.const 1)))))
    unreachable))
