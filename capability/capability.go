// Package capability decides what a module may use. A [Manifest] is what the module
// asks for, in a custom section of its own bytes; a [Policy] is what the operator of
// an edge host grants to whom; a [Grant] is what both say. What is in neither
// is not given: deny by default (paper 003, Figures 2 and 5).
//
//	m, err := capability.Read(wasm)
//	policy, err := capability.LoadPolicy("edge.toml")
//	rules := policy.For("acme-7") // the name that the UE's certificate proves
//	grant, err := rules.Grant(m)  // all of it, or a Refusal of each part withheld
//
// A module gets all that it asks for or does not run: it is never left to find out
// that a part is missing. docs/policy.md describes the file and the manifest.
//
// All is values and pure functions, which may be used by many goroutines. Nothing
// here enforces anything: host functions do, with the Grant.
package capability

import "time"

// A Manifest is what a module asks for. The zero Manifest asks for nothing.
//
// The entries of Models and Connect are exact, or the only one is "*": all that the
// tenant is granted, for a module that learns its networks or addresses when it runs.
type Manifest struct {
	// Host are the names that it imports host functions by, beyond "bungee" and
	// WASI: "wasi_ephemeral_nn", "bungee_scratch", or the operator's own, which is
	// also how sensors and accelerators are named.
	Host []string `json:"host,omitempty"`
	// Models are the networks that it runs.
	Models []string `json:"models,omitempty"`
	// Folders are the folders that it opens, by the names that it sees.
	Folders []Folder `json:"folders,omitempty"`
	// Connect are the addresses, host:port, that it connects to.
	Connect []string `json:"connect,omitempty"`
	// Env are the names of the environment variables that it reads.
	Env []string `json:"env,omitempty"`
	// Clock and Random ask for the real clock and for real random numbers. Without
	// them WASI's are made up, the same in each run.
	Clock  bool `json:"clock,omitempty"`
	Random bool `json:"random,omitempty"`
	// Deterministic has the engine make the bits of NaNs the same everywhere, and
	// refuses Clock and Random.
	Deterministic bool `json:"deterministic,omitempty"`
	// Class is the criticality class, [BestEffort] or [RealTime]. Empty means
	// BestEffort. It is carried, and has no effect yet.
	Class string `json:"class,omitempty"`
	// Limits are the most it needs. Zero fields leave it to the host.
	Limits Limits `json:"limits,omitzero"`
}

// The criticality classes (paper 003, III-B).
const (
	BestEffort = "best-effort"
	RealTime   = "real-time"
)

// A Folder is a folder that a module asks for.
type Folder struct {
	Name  string `json:"name"`
	Write bool   `json:"write,omitempty"`
}

// Limits are bounds on a module's instances.
type Limits struct {
	Memory   int64         `json:"memory,omitempty"`   // bytes
	Output   int           `json:"output,omitempty"`   // bytes of a reply
	Fuel     uint64        `json:"fuel,omitempty"`     // of a call
	Deadline time.Duration `json:"deadline,omitempty"` // of a call; nanoseconds in JSON
}

// A Quota bounds what a tenant has at once. A zero field is no bound.
type Quota struct {
	Instances     int
	Memory        int64 // the sum of the instances' limits, in bytes
	Modules       int
	FuelPerSecond uint64
	Channels      int
	// Weight is the tenant's share of the cores and accelerators beside that of
	// others. Zero means 1.
	Weight int
}

// A Grant is what a module of a tenant may use. [Rules.Grant] makes it.
type Grant struct {
	Host    []string
	Models  []string // names, or patterns as in path.Match
	Folders []GrantedFolder
	// Connect are patterns host:port, as in the policy. [Grant.Connects] and
	// [Grant.Dials] say what they come to.
	Connect []string
	// Only, unless empty, are the addresses that the module asked for: it may
	// connect to no other, even if Connect has it.
	Only   []string
	Env    map[string]string // values are the policy's
	Clock  bool
	Random bool
	Limits Limits // zero fields are the host's defaults

	tenant, connectAt string // who decides about connections, for errors
}

// A GrantedFolder is a folder of the host that a module sees under Name.
type GrantedFolder struct {
	Name, Path string
	Write      bool
}
