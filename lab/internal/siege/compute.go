package siege

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// The attacks on compilation. An act is a module.
var compiles = []Attack{
	{"bomb-loops", "H2", bomb(func() []byte { return nestedLoops(2000) })},
	{"bomb-locals", "H2", bomb(func() []byte { return manyLocals(8, 5000) })},
	{"bomb-tables", "H2", bomb(func() []byte { return bigTables(20, 20_000) })},
	{"bomb-functions", "H2", bomb(func() []byte { return manyFunctions(100_000) })},
	{"spinning-start", "H3", bomb(spinningStart)},
	{"spinning-init", "H3", bomb(spinningInit)},
}

// bomb sends modules that take long to make ready, several at once.
func bomb(make func() []byte) func(context.Context, *attacker) {
	wasm := sync.OnceValue(make)
	return func(ctx context.Context, a *attacker) {
		a.follow(ctx, plan{streams: 4, do: func(ctx context.Context, u *UE) error { return a.put(ctx, u, wasm()) }})
	}
}

// The attacks that compute, and those that have the host do so. An act is a call that was answered.
var computes = []Attack{
	{"bulk-fill", "H4", bulkFill},
	{"bulk-copy", "H4", bulkCopy},
	{"spin", "H3", spin},
	{"hog", "H5", hog},
	{needsNetwork, "H5", hogContexts},
	{"traps", "H3", traps},
	{"guest-logs", "H9", guestLogs},
}

// bulkFill fills all memory of an instance in single instructions, until the deadline (H4).
func bulkFill(ctx context.Context, a *attacker) { a.run(ctx, 4, fnFill, time.Second) }

// bulkCopy copies it (H4).
func bulkCopy(ctx context.Context, a *attacker) { a.run(ctx, 4, fnCopy, time.Second) }

// spin has many calls under way that never end by themselves (brother of H3). An act is a call that is made: it is answered
// after ten seconds.
func spin(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{streams: 100, module: Guest, on: func(ctx context.Context, st link.Stream) error {
		for ctx.Err() == nil {
			a.act()
			if _, _, err := Exchange(st, guestCall(fnSpin, 10*time.Second), request(0)); err != nil && !isFail(err) {
				return err
			}
		}
		return nil
	}})
}

// traps has each call end its instance, so that the host makes instances without end (brother of H3).
func traps(ctx context.Context, a *attacker) { a.run(ctx, 8, fnTrap, time.Second) }

// guestLogs has guests log without end (H9).
func guestLogs(ctx context.Context, a *attacker) { a.run(ctx, 4, fnLog, time.Second) }

// run makes calls of a function of Guest, on so many streams.
func (a *attacker) run(ctx context.Context, streams int, fn uint32, deadline time.Duration) {
	a.follow(ctx, plan{streams: streams, module: Guest, do: func(ctx context.Context, u *UE) error {
		return a.exchanges(ctx, u, guestCall(fn, deadline), request(0))
	}})
}

// hog has the instances of far endpoints, of which a tenant has many, take all memory that they may,
// and use it (brother of H5). An act is a far endpoint that does.
func hog(ctx context.Context, a *attacker) { a.hog(ctx, Guest, nil) }

// needsNetwork is the attack that is made only on a host with the network that [Besieger] names.
const needsNetwork = "hog-contexts"

// hogContexts has them take inference contexts before (H5).
func hogContexts(ctx context.Context, a *attacker) {
	module, err := capability.Append(contexts, capability.Manifest{Host: []string{"wasi_ephemeral_nn"}, Models: []string{a.network}})
	if err != nil {
		panic(err) // contexts is a module, and Besieger.Run checks the name
	}
	a.hog(ctx, module, []byte(a.network))
}

func (a *attacker) hog(ctx context.Context, module, message []byte) {
	m := append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: len(message)}), message...)
	a.follow(ctx, plan{streams: 32, module: module, do: func(ctx context.Context, u *UE) error {
		_, st, err := attach(ctx, u, wire.Attach{Module: sha256.Sum256(module), Fn: fnHog})
		if err != nil {
			return err
		}
		return a.standOn(ctx, st, m)
	}})
}
