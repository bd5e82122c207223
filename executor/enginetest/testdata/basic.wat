;; A guest whose functions do, each, one thing that a host must cope with.
;; Package enginetest lists them under the same numbers.
(module
  (import "bungee" "log" (func $log (param i32 i32 i32)))
  (import "bungee" "now" (func $now (result i64)))
  (import "bungee" "canceled" (func $canceled (result i32)))
  (memory (export "memory") 2)
  (global $count (mut i32) (i32.const 0))

  (func (export "bungee_abi") (result i32) (i32.const 1))

  ;; The buffer is the second page. Odd sizes ask for trouble: 4097 bytes get
  ;; none, 4099 one outside the memory, and 4101 a trap.
  (func (export "bungee_buf") (param $n i32) (result i32)
    (if (i32.eq (local.get $n) (i32.const 4097)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $n) (i32.const 4099)) (then (return (i32.const 0xfffff000))))
    (if (i32.eq (local.get $n) (i32.const 4101)) (then unreachable))
    (i32.const 65536))

  ;; A reply with $status at address 15, and the payload from 16 on.
  (func $reply (param $status i32) (param $n i32) (result i64)
    (i32.store8 (i32.const 15) (local.get $status))
    (i64.or (i64.const 0xf00000000)
      (i64.extend_i32_u (i32.add (local.get $n) (i32.const 1)))))

  ;; A reply whose payload is the request.
  (func $back (param $status i32) (param $ptr i32) (param $n i32) (result i64)
    (memory.copy (i32.const 16) (local.get $ptr) (local.get $n))
    (call $reply (local.get $status) (local.get $n)))

  (func $deep (param i32) (result i32)
    (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  (func $bomb
    (block $full
      (loop $more
        (br_if $full (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
        (br $more))))

  (func (export "bungee_call") (param $fn i32) (param $ptr i32) (param $n i32) (param $deadline i64) (result i64)
    (if (i32.eqz (local.get $fn)) ;; 0 echo
      (then (return (call $back (i32.const 0) (local.get $ptr) (local.get $n)))))
    (if (i32.eq (local.get $fn) (i32.const 1)) ;; 1 error: no code, the request as text
      (then
        (i32.store16 (i32.const 16) (i32.const 0))
        (memory.copy (i32.const 18) (local.get $ptr) (local.get $n))
        (return (call $reply (i32.const 1) (i32.add (local.get $n) (i32.const 2))))))
    (if (i32.eq (local.get $fn) (i32.const 2)) ;; 2 panic
      (then (return (call $back (i32.const 2) (local.get $ptr) (local.get $n)))))
    (if (i32.eq (local.get $fn) (i32.const 3)) ;; 3 count of calls
      (then
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (i32.store (i32.const 16) (global.get $count))
        (return (call $reply (i32.const 0) (i32.const 4)))))
    (if (i32.eq (local.get $fn) (i32.const 4)) ;; 4 trap
      (then unreachable))
    (if (i32.eq (local.get $fn) (i32.const 5)) ;; 5 spin for ever
      (then (loop $again (br $again))))
    (if (i32.eq (local.get $fn) (i32.const 6)) ;; 6 grow until refused, answer the pages had
      (then
        (call $bomb)
        (i32.store (i32.const 16) (memory.size))
        (return (call $reply (i32.const 0) (i32.const 4)))))
    (if (i32.eq (local.get $fn) (i32.const 7)) ;; 7 recurse for ever
      (then (drop (call $deep (i32.const 0)))))
    (if (i32.eq (local.get $fn) (i32.const 8)) ;; 8 reply that ends past 2^32
      (then (return (i64.const 0xffffff0000000200))))
    (if (i32.eq (local.get $fn) (i32.const 9)) ;; 9 reply of 2^32-1 bytes
      (then (return (i64.const 0x00000000ffffffff))))
    (if (i32.eq (local.get $fn) (i32.const 10)) ;; 10 empty reply
      (then (return (i64.const 0))))
    (if (i32.eq (local.get $fn) (i32.const 11)) ;; 11 unknown status
      (then (return (call $reply (i32.const 9) (i32.const 0)))))
    (if (i32.eq (local.get $fn) (i32.const 12)) ;; 12 log the request, then wait to be cancelled
      (then
        (call $log (i32.const 0) (local.get $ptr) (local.get $n))
        (loop $again (br_if $again (i32.eqz (call $canceled))))
        (return (call $reply (i32.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $fn) (i32.const 13)) ;; 13 deadline and now
      (then
        (i64.store (i32.const 16) (local.get $deadline))
        (i64.store (i32.const 24) (call $now))
        (return (call $reply (i32.const 0) (i32.const 16)))))
    (if (i32.eq (local.get $fn) (i32.const 14)) ;; 14 log what is outside the memory
      (then (call $log (i32.const 0) (i32.const 0xffffff00) (i32.const 512))))
    (if (i32.eq (local.get $fn) (i32.const 15)) ;; 15 read outside the memory
      (then (drop (i32.load (i32.const 0xfffffff0)))))
    (if (i32.eq (local.get $fn) (i32.const 16)) ;; 16 reply just past the end of the memory
      (then (return (i64.or (i64.const 1)
        (i64.shl (i64.extend_i32_u (i32.mul (memory.size) (i32.const 65536))) (i64.const 32))))))
    (if (i32.eq (local.get $fn) (i32.const 17)) ;; 17 log the request, then spin for ever
      (then
        (call $log (i32.const 0) (local.get $ptr) (local.get $n))
        (loop $again (br $again))))
    unreachable))
