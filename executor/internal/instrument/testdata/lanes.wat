;; NaNs of one lane type that instructions of the other one take. Each function returns the
;; first lane of its result.
(module
  ;; Read as f64x2, the lanes of 0/0 are no NaN but a number, of the sign that the processor chose.
  (func $ratio (result v128)
    (f32x4.div (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)))
  (func (export "add") (result i64)
    (i64x2.extract_lane 0 (f64x2.add
      (f32x4.div (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)) (v128.const f64x2 0 0))))
  (func (export "less") (result i64)
    (i64x2.extract_lane 0 (f64x2.lt
      (f32x4.div (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)) (v128.const f64x2 0 0))))
  (func (export "truncate") (result i64)
    (i64x2.extract_lane 0 (i32x4.trunc_sat_f64x2_s_zero
      (f32x4.div (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)))))
  ;; The other way: the lower half of an f64 is a number as f32.
  (func $sum (param v128 v128) (result i64)
    (i64x2.extract_lane 0 (f32x4.add (f64x2.add (local.get 0) (local.get 1)) (v128.const f32x4 0 0 0 0))))
  (func (export "first") (result i64)
    (call $sum (v128.const i64x2 0x7ff8000040000000 0) (v128.const i64x2 0x7ff8000041000000 0)))
  (func (export "second") (result i64)
    (call $sum (v128.const i64x2 0x7ff8000041000000 0) (v128.const i64x2 0x7ff8000040000000 0)))
  (func (export "kept") (result i64) (i64x2.extract_lane 0 (call $ratio)))
)
