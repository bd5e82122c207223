package offload

import "time"

// A Desc describes an elastic function or an endpoint. It is constant after its
// package's initialisation.
type Desc struct {
	// Name is the marked function's or type's, qualified by its package's import path.
	Name string
	// Index is the guest function's number in its Module, or that of an endpoint's first
	// guest function.
	Index uint32
	// Module holds the Wasm version. Nil in a guest.
	Module *Module
	// Deadline bounds a call, or the handling of a message, on an edge host. Zero
	// means that only the caller's context does.
	Deadline time.Duration
	// Idempotent functions may run again after a call of unknown fate; idempotent
	// endpoints may handle a message again.
	Idempotent bool
	// Redundancy is the number of edge hosts that a call runs on; their answers are
	// compared. Zero and one mean one host, without comparison.
	Redundancy int
}

// A Digest is the SHA-256 of a module's Wasm bytes. It names the module.
type Digest [32]byte

// A Module is the Wasm version of a package's marked functions, as generated
// code embeds it. A guest has none.
type Module struct {
	Digest Digest
	// Gzip is the module, compressed.
	Gzip string
}
