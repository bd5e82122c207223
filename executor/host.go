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

// A HostFunc is a function which a guest may call. Params and Results hold a
// letter a value: 'i' for i32, 'l' for i64, 'f' for f32, 'd' for f64. Call gets the
// parameters in stack, as their bits, and leaves the results there, from stack[0]
// on; len(stack) is at least the larger of the two counts. An error or a panic of Call
// traps the guest. Call must end when ctx does, and must not call into the guest.
// [AccountOf] tells what its call is billed to.
type HostFunc struct {
	Name            string
	Params, Results string
	Call            func(ctx context.Context, mem Memory, stack []uint64) error
}

// Memory is the linear memory of an instance during a host function call.
type Memory interface {
	// Bytes returns the n bytes at ptr, by reference, or false when they are
	// not all inside the memory. They are valid until the host function returns.
	Bytes(ptr, n uint32) ([]byte, bool)
}
