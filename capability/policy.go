package capability

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// A Policy is what an operator grants to each tenant. It does not change. [Default],
// [LoadPolicy] and [ParsePolicy] make one.
type Policy struct {
	other   *table   // of whom no other table is
	tenants []*table // in the order of the file
}

// builtIn is how refusals name the policy that is there without a file.
const builtIn = "the built-in policy"

// builtInTable is what every tenant gets unless a file says otherwise: what a module
// needs to compute and to infer, and nothing that reaches out of the host. One
// tenant gets enough for a headset's modules, and not the host.
var builtInTable = table{
	Modules: []string{all},
	// Scratch memory is the session's own; egress goes nowhere without an address.
	Host:   []string{"wasi_ephemeral_nn", "bungee_scratch", "bungee_egress"},
	Models: []string{all}, // that the host serves
	Clock:  true,
	Random: true,
	Quota: quotaTable{
		// As many as the host serves by default: each is an instance of its own, which
		// needs room in Memory, too.
		Channels:  1024,
		Instances: 1024,
		// 32 instances of the default limit, or more that ask for less: half of a
		// host of 16 GiB. It bounds what all could take, not what they do.
		Memory:  8 << 30,
		Modules: 16,
		Weight:  1,
		// A headset's modules fetch tiles and ask a few services: this is ten times
		// that, and too little to scan a network or to fill the host's uplink.
		EgressCalls:       200,
		EgressConnections: 50,
		EgressOpen:        256,
		EgressBytes:       32 << 20,
		// A UE has four at most, and a tenant may have a small fleet of them.
		Connections: 1024,
	},
}

// Default returns the built-in policy. Every tenant may run all modules, and is granted the
// real clock, real random numbers, the models that the host serves, scratch memory, and the
// host functions bungee_egress, but no address to connect to, no folder and no environment. Nothing is
// metered. Each tenant can have 16 modules, and 1024 instances whose memory limits sum up
// to 8 GiB. Each channel has an instance of its own: a tenant can have 32 channels to modules
// that ask for no limit, and up to 1024 to modules that ask for less.
func Default() *Policy {
	p, err := ParsePolicy("", nil)
	if err != nil {
		panic(err) // the built-in table is wrong
	}
	return p
}

// maxPolicy bounds the file of a policy, in bytes.
const maxPolicy = 1 << 20

// LoadPolicy reads a policy from a file. Its errors are those of reading the file and of
// [ParsePolicy].
func LoadPolicy(file string) (*Policy, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, err
	}
	return ParsePolicy(filepath.Base(file), text)
}

// ParsePolicy reads a policy in TOML, as docs/policy.md describes it. Errors and refusals
// call it name, such as the name of its file. The error has all faults in the text, each
// with its line and column.
func ParsePolicy(name string, text []byte) (*Policy, error) {
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("%s has more than %d bytes, which is no policy", name, maxPolicy)
	}
	f, err := readFile(name, text)
	if err != nil {
		return nil, err
	}
	base := builtInTable
	base.at = map[string]string{}
	for key := range base.fields() {
		base.at[key] = builtIn
	}
	p := &Policy{other: &f.Default}
	p.other.inherit(&base)
	c := &checker{}
	p.other.check(c)
	for i := range f.Tenant {
		t := &f.Tenant[i]
		t.inherit(p.other)
		t.check(c)
		p.tenants = append(p.tenants, t)
	}
	return p, c.err()
}

// For returns the rules of the tenant named peer: those of the first [[tenant]] table
// whose name matches, or of [default] when none does.
func (p *Policy) For(peer string) Rules {
	t := p.other
	for _, o := range p.tenants {
		if match(o.Name, peer) {
			t = o
			break
		}
	}
	return Rules{Tenant: peer, Quota: t.Quota.quota(), Meter: t.Meter, table: t}
}

// match says whether a name matches a pattern. "*" alone matches all names, also
// those with a slash.
func match(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok || pattern == all
}

func goodPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return fmt.Errorf("%q is no pattern; write a name, in which * stands for any letters but /", clip(pattern))
	}
	return nil
}
