package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// A disturbance is made again and again. An error of make means that something is wrong
// with what is measured, or with the measurement.
type disturbance struct {
	name  string
	every time.Duration
	make  func(ctx context.Context, dice *rand.Rand) error
}

// disturbances are those that were asked for. Kills have a rhythm of their own; the other
// faults take turns.
func (k *soaking) disturbances() []disturbance {
	var all []disturbance
	if k.with("move") {
		all = append(all, disturbance{"move", k.MoveEvery, k.move})
	}
	if k.with("kill") {
		all = append(all, disturbance{"kill", k.KillEvery, k.kill})
	}
	var others []disturbance
	for _, d := range []disturbance{{name: "stop", make: k.stop}, {name: "drain", make: k.drain}, {name: "certs", make: k.certs}, {name: "net", make: k.unplug()}} {
		if k.with(d.name) && d.make != nil {
			others = append(others, d)
		}
	}
	if len(others) > 0 {
		turn := 0
		all = append(all, disturbance{"others", k.KillEvery, func(ctx context.Context, dice *rand.Rand) error {
			d := others[turn%len(others)]
			turn++
			return d.make(ctx, dice)
		}})
	}
	return all
}

// moveLimit is how long a move may take to a host that has to be connected first, before
// another place is tried.
const moveLimit = 2 * time.Second

// move moves the far endpoint to one of the hosts, or to the UE.
func (k *soaking) move(ctx context.Context, dice *rand.Rand) error {
	begin, from := time.Now(), k.ch.Where()
	var to elastic.Target
	name := ""
	if i := dice.IntN(len(k.ward.patients) + 1); i > 0 {
		p := k.ward.patients[i-1]
		to, name = p.place, p.name
	}
	if name == from {
		return nil
	}
	k.count("move", name)
	return k.around(ctx, "move", func() error {
		limited, cancel := context.WithTimeout(ctx, moveLimit)
		defer cancel()
		err := k.ch.Move(limited, to)
		switch {
		case errors.Is(err, elastic.ErrClosed):
			return err
		case err != nil && ctx.Err() == nil && !k.ails(from, begin) && !k.ails(name, begin):
			k.find(&k.unmoved, err)
		}
		return nil
	})
}

// ails says whether the place of that name is a host with a fault.
func (k *soaking) ails(name string, since time.Time) bool {
	return name != "" && k.ward.ails(name, since)
}

// victim takes a host for a fault of its process, nil when all have one. Mostly it is the
// one that serves the far endpoint, or the far endpoint is brought there. The caller
// unlocks treated.
func (k *soaking) victim(ctx context.Context, dice *rand.Rand) *patient {
	for _, i := range dice.Perm(len(k.ward.patients)) {
		p := k.ward.patients[i]
		if !p.treated.TryLock() {
			continue
		}
		if dice.IntN(4) > 0 {
			k.bring(ctx, p)
		}
		return p
	}
	return nil
}

// bring moves the far endpoint to p. Where that fails, a fault is felt less.
func (k *soaking) bring(ctx context.Context, p *patient) {
	limited, cancel := context.WithTimeout(ctx, moveLimit)
	defer cancel()
	k.ch.Move(limited, p.place)
}

// fault makes a fault of a host's process.
func (k *soaking) fault(ctx context.Context, kind string, dice *rand.Rand, do func(*patient) error) error {
	p := k.victim(ctx, dice)
	if p == nil {
		return nil
	}
	defer p.treated.Unlock()
	return p.ail(func() error { return k.felt(ctx, kind, p, do) })
}

// felt measures the gap around a fault only where the channel feels it: at the host that
// serves the far endpoint.
func (k *soaking) felt(ctx context.Context, kind string, p *patient, do func(*patient) error) error {
	k.count(kind, p.name)
	defer k.log.Info("disturbance is over", "kind", kind, "host", p.name)
	if k.ch.Where() != p.name {
		return do(p)
	}
	return k.around(ctx, kind, func() error { return do(p) })
}

// rest waits for a random time between least and most, or until ctx ends.
func rest(ctx context.Context, dice *rand.Rand, least, most time.Duration) {
	select {
	case <-time.After(least + time.Duration(dice.Int64N(int64(most-least)))):
	case <-ctx.Done():
	}
}

// kill ends a host as kill -9 does, and starts it again.
func (k *soaking) kill(ctx context.Context, dice *rand.Rand) error {
	return k.fault(ctx, "kill", dice, func(p *patient) error {
		p.kill()
		rest(ctx, dice, 500*time.Millisecond, 1500*time.Millisecond)
		return p.start()
	})
}

// stop lets a host stand still. When it goes on, it may be an owner that was left.
func (k *soaking) stop(ctx context.Context, dice *rand.Rand) error {
	return k.fault(ctx, "stop", dice, func(p *patient) error {
		if err := p.freeze(); err != nil {
			return err
		}
		rest(ctx, dice, 300*time.Millisecond, 3*time.Second)
		return p.thaw()
	})
}

// drain restarts each host in its turn.
func (k *soaking) drain(ctx context.Context, dice *rand.Rand) error {
	k.bring(ctx, k.ward.patients[0])
	for _, p := range k.ward.patients {
		if ctx.Err() != nil {
			return nil
		}
		p.treated.Lock()
		err := p.ail(func() error {
			return k.felt(ctx, "drain", p, func(p *patient) error {
				if err := p.drain(); err != nil {
					k.find(&k.stuck, err)
				}
				return p.start()
			})
		})
		p.treated.Unlock()
		if err != nil {
			return err
		}
		rest(ctx, dice, 500*time.Millisecond, time.Second)
	}
	return nil
}

// certs lets a stranger have a host's address for a second. Then the host comes back with
// new certificates.
func (k *soaking) certs(ctx context.Context, dice *rand.Rand) error {
	return k.fault(ctx, "certs", dice, func(p *patient) error {
		own := p.host
		p.kill()
		p.host.Certs, p.host.Name = filepath.Join(k.ward.certs, strangerName), strangerName
		err := p.start()
		if err == nil {
			rest(ctx, dice, 500*time.Millisecond, time.Second)
			p.kill()
		}
		p.host = own
		return errors.Join(err, k.ward.renew(p), p.start())
	})
}

// outages are how long the UE's interface is down, in turn.
var outages = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}

// unplug makes a fault of the UE's network, nil where it has none of its own. An outage
// is left out that the rest of the chapter is too short for.
func (k *soaking) unplug() func(context.Context, *rand.Rand) error {
	if k.ward.network == nil {
		return nil
	}
	turn := 0
	return func(ctx context.Context, dice *rand.Rand) error {
		long := outages[turn%len(outages)]
		turn++
		if long > k.duration/4 {
			return nil
		}
		k.bring(ctx, k.ward.patients[dice.IntN(len(k.ward.patients))])
		kind := fmt.Sprintf("net_down_%v", long)
		k.count(kind, "all")
		return k.around(ctx, kind, func() error {
			return k.ward.outage(func() error {
				if err := k.ward.network.down(); err != nil {
					return err
				}
				select {
				case <-time.After(long):
				case <-ctx.Done():
				}
				return k.ward.network.up()
			})
		})
	}
}

// outage notes a fault of all hosts while do runs.
func (w *ward) outage(do func() error) error {
	for _, p := range w.patients {
		inner := do
		do = func() error { return p.ail(inner) }
	}
	return do()
}
