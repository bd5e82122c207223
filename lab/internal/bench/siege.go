package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/lab/internal/siege"
)

// Siege configures the benchmark of an edge host between quiet tenants and attackers: what the
// quiet ones notice, and what the host holds.
type Siege struct {
	Setup
	// Besieger makes the command of a process of attackers.
	Besieger func(siege.Besieger) *exec.Cmd
	// Attacks names the attacks, of [siege.Names]. Empty means all at once.
	Attacks []string
	// Each makes the attacks one after the other, each with a host of its own.
	Each bool
	// Duration is how long the host is besieged in each case. For as long there is peace, in turn.
	Duration time.Duration
	// Quiet is the number of quiet tenants. Zero means 90.
	Quiet int
	// Total is what the host may hold, in bytes. A host that takes twice as much is killed, so that the
	// machine is not what ends.
	Total int64
	// Quota is the host's share of a core, by a control group, which needs root. Zero means none.
	Quota float64
	// GoModule is a Go module as offloadgen makes them, whose deploy is timed. Empty: none is.
	GoModule string
	// Network is the name of a neural network that the host serves, for hog-contexts. Empty: it serves none.
	Network string
	// Out is the folder for siege.png, siege.jsonl and hosts.log. Empty: they are lost.
	Out string
}

const (
	quietTenants = 90
	attackers    = 10
	// quietShare is the part of a core that the quiet tenants ask for together.
	quietShare = 0.3
)

// Run measures.
func (s Siege) Run(ctx context.Context) (figures []Figure, err error) {
	if err := siege.Check(s.Attacks); err != nil {
		return nil, err
	}
	if s.Quiet == 0 {
		s.Quiet = quietTenants
	}
	g, err := s.ground()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.end()) }()
	figures, err = s.play(ctx, "siege", g.scenes())
	if err == nil && s.Out != "" {
		err = drawSiege(s.Out, s.Total, g.curves)
	}
	return figures, err
}

// A ground is where sieges take place: certificates, the cache of modules, logs.
type ground struct {
	Siege
	dir    string
	ca     *identity.Authority
	log    *os.File // of the hosts; nil: discarded
	curves []siegeCurve
	unpin  func() error
}

// ground makes certificates, and puts this process on a core that is not the host's.
func (s Siege) ground() (g *ground, err error) {
	g = &ground{Siege: s, unpin: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.end())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "bungee-siege-"); err != nil {
		return g, err
	}
	if g.ca, err = identity.NewAuthority(); err != nil {
		return g, err
	}
	if err = g.ca.Write(g.dir); err != nil {
		return g, err
	}
	for i := range attackers {
		name := fmt.Sprintf("attacker-%d", i)
		if err = writeCertificate(g.ca, filepath.Join(g.dir, name), name, filepath.Join(g.dir, "ca.pem")); err != nil {
			return g, err
		}
	}
	if s.Out != "" {
		if g.log, err = os.Create(filepath.Join(s.Out, "hosts.log")); err != nil {
			return g, err
		}
	}
	g.unpin, err = pinSelf(benchCore)
	return g, err
}

func (g *ground) end() error {
	err := errors.Join(g.unpin(), os.RemoveAll(g.dir))
	if g.log != nil {
		err = errors.Join(err, g.log.Close())
	}
	return err
}

// The cores: one is the host's, the other one has the quiet tenants and, behind them, the attackers.
const (
	hostCore  = 0
	benchCore = 1
)

// scenes are the cases of the run.
func (g *ground) scenes() []scene {
	if g.Each {
		return g.eachAlone()
	}
	name := "all"
	if len(g.Attacks) > 0 {
		name = strings.Join(g.Attacks, "+")
	}
	all := []scene{
		{name + "/1ms", g.besiege(assault{g.Attacks, time.Millisecond})},
		{name + "/5ms", g.besiege(assault{g.Attacks, 5 * time.Millisecond})},
	}
	if len(g.Attacks) > 0 {
		return all[:1]
	}
	all = append(all, scene{"neighbour beside bulk/1ms", g.besiege(assault{[]string{"bulk-"}, time.Millisecond})})
	if g.GoModule != "" {
		all = append(all, scene{"deploy beside bombs", g.deploys([]string{"bomb-"})})
	}
	return all
}

func (g *ground) eachAlone() (all []scene) {
	names := g.Attacks
	if len(names) == 0 {
		names = siege.Names()
	}
	for _, name := range names {
		all = append(all, scene{name + " (" + siege.CaseOf(name) + ")", g.besiege(assault{[]string{name}, time.Millisecond})})
	}
	return all
}

// An assault is what happens in a case: these attacks, beside calls of this work.
type assault struct {
	attacks []string
	work    time.Duration
}

// rounds is how often peace and siege take turns. The median of their ratios counts.
func (g *ground) rounds() int { return g.pick(5, 1) }

// besiege measures the calls of the quiet tenants under an assault, over those in peace.
func (g *ground) besiege(a assault) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		b, err := g.fortress(ctx, name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.end()) }()
		rounds, err := b.measure(ctx, a)
		if err != nil {
			return nil, err
		}
		return b.figures(name, rounds), nil
	}
}

// A round is what the quiet tenants saw in peace and then under siege.
type round struct{ alone, siege tally }

// measure lets peace and siege take turns until the time is over, or the host is.
func (b *fortress) measure(ctx context.Context, a assault) (rounds []round, err error) {
	long := b.ground.Duration / time.Duration(b.ground.rounds())
	if err := b.quiet.calibrate(ctx, a.work); err != nil {
		return nil, err
	}
	alive, end := b.watch.while(ctx)
	defer end()
	for range b.ground.rounds() {
		var r round
		r.alone = b.quiet.live(alive, a.work, long)
		if err := b.attack(ctx, a.attacks, func() { r.siege = b.quiet.live(alive, a.work, long) }); err != nil {
			return rounds, err
		}
		rounds = append(rounds, r)
		if b.fallen() {
			break
		}
		wait(ctx, peace)
	}
	return rounds, ctx.Err()
}

// peace is how long the host may take to forget attackers that have left.
const peace = time.Second

// attack has attackers do these attacks while f runs.
func (b *fortress) attack(ctx context.Context, attacks []string, f func()) error {
	cmd := b.ground.Besieger(siege.Besieger{Host: b.addr, Certs: b.ground.dir, Attackers: attackers, Attacks: attacks, Network: b.ground.Network})
	priority := lastInLine
	if b.ground.Quick { // on a machine that has other work, as that of tests
		priority = behind
	}
	p, err := startGated(cmd, priority)
	if err != nil {
		return err
	}
	line, err := p.line() // once attackers that need connections have them
	if err != nil {
		return errors.Join(err, p.end())
	}
	if without, ok := strings.CutPrefix(line, "begun without "); ok {
		b.shutOut = without
	}
	b.watch.mark("siege")
	f()
	b.watch.mark("")
	return b.countActs(p)
}

// figures are those of an assault.
func (b *fortress) figures(name string, rounds []round) []Figure {
	all := ratios(name, rounds)
	var sum tally
	for _, r := range rounds {
		sum.add(r.alone)
		sum.add(r.siege)
	}
	none := func(metric string, n int, note string) {
		f := Figure{Case: name, Metric: metric, Unit: "answers", Value: float64(n), N: sum.made, Note: note}
		all = append(all, f.against("<=", 0))
	}
	none("lost", sum.lost, sum.reasons())
	none("crossed", sum.crossed, "")
	crashed := Figure{Case: name, Metric: "crashed", Unit: "hosts", N: 1}
	if b.fallen() {
		crashed.Value, crashed.Note = 1, b.watch.fate()
	}
	all = append(all, crashed.against("<=", 0), b.memoryFigure(name))
	return append(all, b.plainFigures(name, sum)...)
}
