;; A guest whose functions are the bulk instructions, each on the three numbers of its request.
;; Package enginetest lists them under the same numbers.
(module
  (type $answer (func (result i32)))
  (memory (export "memory") 1)
  (table $t 20000 funcref)
  (data $d "0123456789abcdef")
  (elem $e func $one $two $one $two)
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))

  (func (export "bungee_abi") (result i32) (i32.const 1))
  (func (export "bungee_buf") (param i32) (result i32) (i32.const 32))

  ;; The reply is a number at 16, its status before it.
  (func (export "bungee_call") (param $fn i32) (param $ptr i32) (param i32 i64) (result i64)
    (local $to i32) (local $from i32) (local $n i32) (local $answer i32)
    (local.set $to (i32.load (local.get $ptr)))
    (local.set $from (i32.load offset=4 (local.get $ptr)))
    (local.set $n (i32.load offset=8 (local.get $ptr)))
    (block $done
      (block $call (block $elemdrop (block $tableinit (block $tablecopy (block $tablefill
        (block $drop (block $init (block $copy (block $fill (block $grow
          (br_table $grow $fill $copy $init $drop $tablefill $tablecopy $tableinit $elemdrop $call (local.get $fn)))
          (local.set $answer (memory.grow (local.get $n)))
          (br $done))
          (memory.fill (local.get $to) (local.get $from) (local.get $n))
          (br $done))
          (memory.copy (local.get $to) (local.get $from) (local.get $n))
          (br $done))
          (memory.init $d (local.get $to) (local.get $from) (local.get $n))
          (br $done))
          (data.drop $d)
          (br $done))
          (table.fill $t (local.get $to) (ref.func $two) (local.get $n))
          (br $done))
          (table.copy $t $t (local.get $to) (local.get $from) (local.get $n))
          (br $done))
          (table.init $t $e (local.get $to) (local.get $from) (local.get $n))
          (br $done))
          (elem.drop $e)
          (br $done))
          (local.set $answer (call_indirect $t (type $answer) (local.get $n))))
    (i32.store8 (i32.const 15) (i32.const 0))
    (i32.store (i32.const 16) (local.get $answer))
    (i64.const 0xf00000005))
)
