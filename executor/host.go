package executor

import "context"

// HostFuncs are host functions that modules import under one name.
type HostFuncs struct {
	// Name is the name of the import, such as "acme_lidar".
	Name string
	// New returns the functions for one instance, so that they can keep state, and a
	// function that the instance calls when it is closed, which may be nil. Both run on
	// the goroutine that uses the instance.
	New func() (funcs []HostFunc, close func())
}

// A HostFunc is a function that a guest can call. Params and Results have one letter
// for each value: 'i' for i32, 'l' for i64, 'f' for f32, 'd' for f64.
//
// Call finds the bits of the parameters in stack and writes those of the results
// there, from stack[0] on; stack is long enough for both. An error or a panic of Call
// traps the guest. Call must return soon after ctx ends, and must not call the guest.
// [AccountOf] tells what its call is billed to.
type HostFunc struct {
	Name            string
	Params, Results string
	Call            func(ctx context.Context, mem Memory, stack []uint64) error
}

// Memory is the linear memory of an instance during a host function call.
type Memory interface {
	// Bytes returns the n bytes at ptr: the memory itself, not a copy. It returns
	// false when they are not all inside the memory. They are valid until the host
	// function returns.
	Bytes(ptr, n uint32) ([]byte, bool)
}
