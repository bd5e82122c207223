// Package offload provides elastic functions: functions that run natively on
// the UE or as Wasm on an edge host, and look the same to their caller.
//
// A developer marks a function, runs "go generate", and calls the generated
// function of the same signature. With no router every call runs natively; the
// UE offload handler (package handler/ue) is the router that offloads.
//
//	//go:generate go tool offloadgen
//
//	//offload:func deadline=100ms idempotent
//	func detect(ctx context.Context, frame []byte) ([]Box, error) { ... }
//
//	boxes, err := Detect(ctx, frame) // here or there
//
// The idea is paper 001's: "a function call to look the same both when a module
// containing the function implementation is residing locally in the UE or when
// it is at a remote location" (section II). Where distribution matters it is
// explicit: [CallError] says whether a call may have run, [WithTrace] tells
// where it ran and where its time went.
//
// # Errors
//
// An error of the function itself comes back from an edge host with all that it wraps:
// errors.Is and errors.As find the same in it. Errors that the generator cannot know are
// registered with [RegisterError]; those of unknown types are a [RemoteError]. A function
// that panics gives a [CallError] on both sides. A call that gave no result is repeated natively when that is
// safe, and is a [CallError] when it is not: [CodeOf] says why, and the error's
// [Fate] what is known of the call. The end of the caller's context ends the call
// wherever it runs.
//
// # Concurrency
//
// Elastic functions may be called by many goroutines at once, if the marked
// function may be.
package offload
