;; A guest whose functions try, each, to get out of the sandbox or to wreck it.
;; Package enginetest lists them under the same numbers.
(module
  (import "bungee" "log" (func $log (param i32 i32 i32)))
  (type $void (func))
  (type $number (func (param i32) (result i32)))
  (memory (export "memory") 2)
  (table $t 4 funcref)
  (elem (i32.const 0) $nothing $around)
  (global $mark (mut i32) (i32.const 7))

  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 65536))

  (func $nothing)
  (func $end (result i32) (i32.mul (memory.size) (i32.const 65536)))
  (func $deep (param i64 i64 i64 i64) (result i64)
    (i64.add (local.get 0)
      (call $deep (local.get 1) (local.get 2) (local.get 3) (i64.add (local.get 0) (i64.const 1)))))
  ;; Calls itself through the table.
  (func $around (param i32) (result i32)
    (i32.add (local.get 0) (call_indirect (type $number) (local.get 0) (i32.const 1))))

  (func $fill_memory
    (block $full
      (loop $more
        (br_if $full (i32.eq (memory.grow (i32.const 64)) (i32.const -1)))
        (br $more))))
  (func $fill_table
    (block $full
      (loop $more
        (br_if $full (i32.eq (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1)))
        (br $more))))

  ;; Leaves its marks wherever an instance has state.
  (func $spoil
    (global.set $mark (i32.const 13))
    (drop (memory.grow (i32.const 4)))
    (memory.fill (i32.const 0) (i32.const 0xaa) (call $end))
    (drop (table.grow $t (ref.func $nothing) (i32.const 4)))
    (table.set $t (i32.const 0) (ref.null func))
    (table.set $t (i32.const 3) (ref.func $nothing)))

  ;; A reply with the number $v as payload.
  (func $answer (param $v i32) (result i64)
    (i32.store8 (i32.const 15) (i32.const 0))
    (i32.store (i32.const 16) (local.get $v))
    (i64.const 0xf00000005))

  (func (export "bungee_call") (param $fn i32) (param $ptr i32) (param $n i32) (param $deadline i64) (result i64)
    (block $24 (block $23 (block $22 (block $21 (block $20 (block $19 (block $18 (block $17
    (block $16 (block $15 (block $14 (block $13 (block $12 (block $11 (block $10 (block $9 (block $8
    (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
      (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 $12 $13 $14 $15 $16 $17 $18 $19 $20 $21 $22 $23 $24
        (local.get $fn)))
      (return (call $answer (global.get $mark))))
      (drop (i32.load (i32.sub (call $end) (i32.const 3)))) unreachable) ;; 1 load across the end
      (drop (i64.load offset=0xfffffff0 (i32.const 0xfffffff0))) unreachable) ;; 2 an address past 2^32
      (i64.store (i32.sub (call $end) (i32.const 7)) (i64.const -1)) unreachable) ;; 3 store across the end
      (memory.fill (i32.sub (call $end) (i32.const 1)) (i32.const 1) (i32.const 2)) unreachable) ;; 4
      (memory.copy (i32.const 0) (i32.const 1) (call $end)) unreachable) ;; 5
      (drop (call_indirect (type $number) (i32.const 1) (i32.const 0))) unreachable) ;; 6 a function of another type
      (call_indirect (type $void) (i32.const 3)) unreachable) ;; 7 an empty element
      (call_indirect (type $void) (i32.const 4)) unreachable) ;; 8 just past the table
      (call_indirect (type $void) (i32.const -1)) unreachable) ;; 9 far past it
      (table.set $t (i32.const 4) (ref.null func)) unreachable) ;; 10
      (drop (call $deep (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4))) unreachable) ;; 11
      (drop (call $around (i32.const 1))) unreachable) ;; 12
      (drop (i32.div_u (i32.const 1) (i32.load (i32.const 0)))) unreachable) ;; 13 by zero
      (drop (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 0)) (i32.const 1)))) unreachable) ;; 14
      (drop (i32.trunc_f32_s (f32.const nan))) unreachable) ;; 15
      unreachable) ;; 16
      (call $log (i32.const 0) (call $end) (i32.const 1)) unreachable) ;; 17 pointers to a host function
      (call $log (i32.const 0) (i32.const -1) (i32.const -1)) unreachable) ;; 18
      (call $log (i32.const 0) (i32.const 0x80000000) (i32.const 0x80000000)) unreachable) ;; 19
      (call $fill_memory) (return (call $answer (memory.size)))) ;; 20
      (call $fill_table) (return (call $answer (table.size $t)))) ;; 21
      (return (call $answer (memory.grow (i32.const -1))))) ;; 22
      (return (call $answer (table.grow $t (ref.null func) (i32.const -1))))) ;; 23
      (call $spoil) (call $answer (global.get $mark)))) ;; 24
