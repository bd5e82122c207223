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
	"time"

	"github.com/bungee-xr/bungee/capability"
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
	// Network is the name of a neural network that the host serves. Empty: it serves none.
	Network string
}

// CertsOf is the folder of attacker i's certificate.
func (b Besieger) CertsOf(i int) string { return filepath.Join(b.Certs, fmt.Sprintf("attacker-%d", i)) }

// mustering is how long the attackers that need connections may take to get them, on a host that others besiege.
const mustering = 20 * time.Second

// Run attacks until ctx ends. It prints "begun" once all attackers that need connections have them, or have had 20 s for
// that: then " without" and the names of the attacks that lack some. At the end it prints a line of JSON: how often each
// attack did what it does.
func (b Besieger) Run(ctx context.Context, out io.Writer) error {
	attacks, err := find(b.Attacks)
	if err != nil {
		return err
	}
	if err := (capability.Manifest{Models: []string{b.Network}}).Check(); b.Network != "" && err != nil {
		return fmt.Errorf("network %q: %w", b.Network, err)
	}
	if b.Network == "" { // then it has nothing to do
		attacks = slices.DeleteFunc(slices.Clone(attacks), func(x Attack) bool { return x.Name == needsNetwork })
	}
	acts := map[string]*atomic.Uint64{}
	attackers, m, err := b.gather(attacks, acts)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, one := range attackers {
		all.Go(func() { one(ctx) })
	}
	fmt.Fprintln(out, b.begin(ctx, m))
	<-ctx.Done()
	all.Wait()
	done := map[string]uint64{}
	for name, n := range acts {
		done[name] = n.Load()
	}
	return json.NewEncoder(out).Encode(done)
}

// gather returns what each attacker does, and what has them begin together. Their acts are counted by attack.
func (b Besieger) gather(attacks []Attack, acts map[string]*atomic.Uint64) (attackers []func(context.Context), m *muster, err error) {
	var names []string
	for i, x := range attacks {
		for range b.attackersOf(i, len(attacks)) {
			names = append(names, x.Name)
		}
	}
	m = newMuster(names)
	var serial atomic.Uint64
	for i, x := range attacks {
		acts[x.Name] = new(atomic.Uint64)
		for _, who := range b.attackersOf(i, len(attacks)) {
			conf, err := identity.Load(b.CertsOf(who), identity.UE)
			if err != nil {
				return nil, nil, err
			}
			// Each handshake is a whole one, which costs a host most.
			conf.ClientSessionCache = nil
			a := &attacker{way: wayFrom(b.Host, ofAttackers, who), conf: conf, network: b.Network, serial: &serial, acts: acts[x.Name], muster: m, entered: func() { m.enter(x.Name) }}
			attackers = append(attackers, func(ctx context.Context) {
				if slices.Contains(storms, x.Name) {
					m.await(ctx)
				}
				x.run(ctx, a)
			})
		}
	}
	return attackers, m, nil
}

// begin lets the attackers begin, and says so.
func (b Besieger) begin(ctx context.Context, m *muster) string {
	ctx, cancel := context.WithTimeout(ctx, mustering)
	defer cancel()
	if missing := m.begin(ctx); len(missing) > 0 {
		return "begun without " + strings.Join(missing, ", ")
	}
	return "begun"
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
	a.enter()
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
