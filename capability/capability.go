// Package capability decides what a module may use. A [Manifest] is what the module
// asks for, in a custom section of its own bytes. A [Policy] is what the operator of an
// edge host grants to each tenant. A [Grant] is what a module gets: what its manifest
// asks for and the policy grants. Everything else is denied (paper 003, Figures 2 and 5).
//
//	m, err := capability.Read(wasm)
//	policy, err := capability.LoadPolicy("edge.toml")
//	rules := policy.For("acme-7") // the name that the UE's certificate proves
//	err = rules.Runs(digest)      // a Refusal if acme-7 may not run that module at all
//	grant, err := rules.Grant(m)  // all of it, or a Refusal for each part withheld
//
// A module gets everything that it asks for, or it does not run, so that it never meets
// a missing part half way. docs/policy.md describes the file and the manifest.
//
// The package has values and pure functions only, which may be used by many goroutines.
// It enforces nothing: host functions do, with the Grant.
package capability

import "time"

// A Manifest is what a module asks for. The zero Manifest asks for nothing.
//
// The entries of Models and Connect are exact names and addresses. Instead there can be
// one entry "*", which asks for everything that the tenant is granted: it is for a module
// that learns its networks or addresses when it runs.
type Manifest struct {
	// Host are the names that the module imports host functions by, except "bungee"
	// and WASI's: "wasi_ephemeral_nn", "bungee_scratch", or names of the operator's
	// own, such as those of sensors and accelerators.
	Host []string `json:"host,omitempty"`
	// Models are the names of the networks that it runs.
	Models []string `json:"models,omitempty"`
	// Folders are the folders that it opens.
	Folders []Folder `json:"folders,omitempty"`
	// Connect are the addresses, host:port, that it connects to.
	Connect []string `json:"connect,omitempty"`
	// Env are the names of the environment variables that it reads.
	Env []string `json:"env,omitempty"`
	// Clock and Random ask for the real clock and for real random numbers. Without
	// them WASI's are made up, and the same in each run.
	Clock  bool `json:"clock,omitempty"`
	Random bool `json:"random,omitempty"`
	// Deterministic asks the engine to make the bits of NaNs the same everywhere. It
	// excludes Clock and Random.
	Deterministic bool `json:"deterministic,omitempty"`
	// Class is the criticality class, [BestEffort] or [RealTime]. Empty means
	// BestEffort. It has no effect yet.
	Class string `json:"class,omitempty"`
	// Limits are what the module needs at most. A zero field leaves the limit to the
	// host.
	Limits Limits `json:"limits,omitzero"`
}

// The criticality classes (paper 003, III-B).
const (
	BestEffort = "best-effort"
	RealTime   = "real-time"
)

// A Folder is a folder that a module asks for.
type Folder struct {
	Name  string `json:"name"`            // the name that the module sees
	Write bool   `json:"write,omitempty"` // it also changes what is in it
}

// Limits are bounds on a module's instances.
type Limits struct {
	Memory   int64         `json:"memory,omitempty"`   // linear memory of an instance, in bytes
	Output   int           `json:"output,omitempty"`   // a reply, in bytes
	Fuel     uint64        `json:"fuel,omitempty"`     // fuel of a call
	Deadline time.Duration `json:"deadline,omitempty"` // time of a call; nanoseconds in JSON
}

// A Quota bounds what a tenant holds at once. Zero means no bound.
type Quota struct {
	Instances     int
	Memory        int64 // the sum of the memory limits of its instances, in bytes
	Modules       int
	FuelPerSecond uint64
	Channels      int
	Connections   int   // of its UEs
	Buffers       int64 // what the host holds for its UEs beside instances, in bytes
	// Weight is the tenant's share of the cores, of accelerators, and of what is scarce, in proportion to
	// the weights of other tenants. Zero means 1.
	Weight int
	// Egress bounds what the tenant's guests do in the network.
	Egress Egress
}

// Egress bounds the requests and connections of all of a tenant's guests together. Zero
// means no bound.
type Egress struct {
	CallsPerSecond       int   // requests and dials
	ConnectionsPerSecond int   // those begun, for HTTP and redirects, too
	Connections          int   // open at once
	BytesPerSecond       int64 // in both directions, with those of TLS and HTTP
}

// A Grant is what a module of a tenant may use. [Rules.Grant] makes it.
type Grant struct {
	Host    []string // names of host functions
	Models  []string // names, or patterns as in path.Match
	Folders []GrantedFolder
	// Connect are patterns host:port, as in the policy. [Grant.Connects] and
	// [Grant.Dials] apply them.
	Connect []string
	// Only are the addresses that the module asked for. It may connect to no others,
	// even if Connect allows them. Empty means all that Connect allows.
	Only   []string
	Env    map[string]string // with the values of the policy
	Clock  bool
	Random bool
	Limits Limits // a zero field means the host's default
	// Tenant is whose module it is, and Egress bounds what all modules of the tenant
	// do in the network.
	Tenant string
	Egress Egress

	connectAt string // what decides about connections, for errors
}

// A GrantedFolder is the folder Path of the host, which a module sees as Name.
type GrantedFolder struct {
	Name, Path string
	Write      bool
}
