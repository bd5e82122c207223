// Package guest is what a module written in Go links: its exports, its buffers
// and the context of its calls.
//
// Generated code uses it and applications need not: the file that offloadgen
// writes for GOOS=wasip1 hands the marked functions to [Register], and this
// package exports the guest ABI around them (docs/abi.md). [Log] is the part for
// people: it writes to the log of the edge host.
//
//	func init() {
//		guest.Register(detectObjectsFunc.Serve)
//	}
//
// # Calls
//
// The host asks for a buffer, writes the request into it and calls. Small requests, and
// all replies, live in buffers that are kept for the next call, so a function must not hold
// on to them. A request of [pack.OwnedSize] or more has a buffer of its own, which belongs
// to the function: what is decoded from it shares it and stays valid. Marked functions and
// endpoints notice nothing of this: what they are given is theirs. A panic of the function
// becomes a reply with its text and stack; the host discards the instance then.
//
// # Contexts
//
// A loop that only computes lets no timer fire in a guest. So the context of a
// call reads the host's clock and the call's cancel flag each time its Err or
// Done is called: a long loop calls ctx.Err() now and then. A context derived
// from it with a deadline of its own ends early only while the guest waits, or
// with the call. When a call returns, its context ends.
//
// # Concurrency
//
// A guest serves one call at a time. Goroutines stand still between calls, so a
// function waits for those that it started.
//
// # Limits
//
// Requests and replies are bounded by the guest ABI: 64 MiB each.
package guest
