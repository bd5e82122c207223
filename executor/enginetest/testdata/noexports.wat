;; A module that is no guest.
(module
  (memory (export "memory") 1))
