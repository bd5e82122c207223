package siege

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Besieger configures a process of attackers.
type Besieger struct {
	Host string // its address
	// Certs is a folder with a folder for each attacker, attacker-0 and so on, as
	// identity.Load reads it.
	Certs     string
	Attackers int
	// Attacks names those that are made, by each attacker. With more attacks than
	// attackers each attack is one attacker's. Empty means all.
	Attacks []string
}

// CertsOf is the folder of attacker i's certificate.
func (b Besieger) CertsOf(i int) string { return filepath.Join(b.Certs, fmt.Sprintf("attacker-%d", i)) }

// Run attacks until ctx ends. It prints a line when it begins, and a line of JSON at the end: how
// often each attack did what it does.
func (b Besieger) Run(ctx context.Context, out io.Writer) error {
	attacks, err := find(b.Attacks)
	if err != nil {
		return err
	}
	var serial atomic.Uint64
	acts := map[string]*atomic.Uint64{}
	var all sync.WaitGroup
	defer all.Wait()
	for i, x := range attacks {
		acts[x.Name] = new(atomic.Uint64)
		for _, who := range b.attackersOf(i, len(attacks)) {
			conf, err := identity.Load(b.CertsOf(who), identity.UE)
			if err != nil {
				return err
			}
			a := &attacker{host: b.Host, conf: conf, serial: &serial, acts: acts[x.Name]}
			all.Go(func() { x.run(ctx, a) })
		}
	}
	fmt.Fprintln(out, "begun")
	<-ctx.Done()
	all.Wait()
	done := map[string]uint64{}
	for name, n := range acts {
		done[name] = n.Load()
	}
	return json.NewEncoder(out).Encode(done)
}

// attackersOf returns who makes the ith of n attacks.
func (b Besieger) attackersOf(i, n int) (all []int) {
	if n > b.Attackers {
		return []int{i % b.Attackers}
	}
	for who := range b.Attackers {
		if who%n == i {
			all = append(all, who)
		}
	}
	return all
}

// find returns the attacks of these names, all for none. A name that ends in "-" stands for all
// that begin with it.
func find(names []string) (found []Attack, err error) {
	if len(names) == 0 {
		return attacks, nil
	}
	for _, name := range names {
		before := len(found)
		if name == Nothing {
			found = append(found, Attack{Name: Nothing, run: nothing})
		}
		for _, a := range attacks {
			if a.Name == name || strings.HasSuffix(name, "-") && strings.HasPrefix(a.Name, name) {
				found = append(found, a)
			}
		}
		if len(found) == before {
			return nil, fmt.Errorf("no attack %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return found, nil
}

// Nothing is the name of what is no attack: attackers that keep their core busy and leave the host
// alone. What the quiet tenants notice beside it is the benchmark's own doing.
const Nothing = "nothing"

// nothing computes. An act is a million steps.
func nothing(ctx context.Context, a *attacker) {
	for x := uint32(1); ctx.Err() == nil; a.act() {
		for range 1_000_000 {
			x = x*1664525 + 1013904223
		}
	}
}

// Names returns the names of the attacks, in their order.
func Names() (names []string) {
	for _, a := range attacks {
		names = append(names, a.Name)
	}
	return names
}

// Check says what of names is the name of no attack.
func Check(names []string) error {
	_, err := find(names)
	return err
}

// CaseOf returns the Case of an attack, "" if there is none of that name.
func CaseOf(name string) string {
	i := slices.IndexFunc(attacks, func(a Attack) bool { return a.Name == name })
	if i < 0 {
		return ""
	}
	return attacks[i].Case
}

// attacks are all attacks.
var attacks = slices.Concat(unread, halves, crowds, compiles, computes, frames)
