package codegen

// checks is false: a guest has copies of all.
const checks = false
