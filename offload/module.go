package offload

// A Digest is the SHA-256 of a module's Wasm bytes. It names the module.
type Digest [32]byte

// A Module is the Wasm version of a package's marked functions, as generated
// code embeds it. A guest has none.
type Module struct {
	Digest Digest
	// Gzip is the module, compressed.
	Gzip string
}
