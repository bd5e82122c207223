package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/lab/internal/siege"
)

// Hostile configures the benchmark of an edge host under hostile calls: each has one answer, of those that
// its kind allows, the honest calls between them have theirs, and in the end the host holds what it held
// before.
type Hostile struct {
	Setup
	// Calls is how many hostile calls are made.
	Calls int
	// Tenants is how many tenants make them, each over QUIC and over TCP at once. Zero means 8.
	Tenants int
	// Seed makes the same calls again, but for their order.
	Seed uint64
	// Out is the folder for hosts.log. Empty: it is lost.
	Out string
}

const (
	hostileTenants = 8
	// honestEvery is after how many hostile calls an honest one is made.
	honestEvery = 5
	// warmUp is how often each caller makes a call of each kind before the host is measured, and warmShare the
	// part of all calls that come then: what the host keeps for them, such as warm instances, threads
	// and their stacks, it has then.
	warmUp    = 2
	warmShare = 20
)

// Run makes the calls.
func (s Hostile) Run(ctx context.Context) ([]Figure, error) {
	if s.Tenants == 0 {
		s.Tenants = hostileTenants
	}
	return s.play(ctx, "hostile", []scene{{"hostile", s.trial}})
}

func (s Hostile) trial(ctx context.Context, _ string) (figures []Figure, err error) {
	o := &outrage{Hostile: s, seen: map[string]map[siege.Response]int{}, wrong: map[string]int{}, why: map[string][]string{}}
	defer func() { err = errors.Join(err, o.end()) }()
	if err := o.begin(ctx); err != nil {
		return nil, err
	}
	if err := o.lap(ctx, o.warm); err != nil {
		return nil, err
	}
	o.want = int64(s.Calls / warmShare)
	if err := o.lap(ctx, o.rage); err != nil {
		return nil, err
	}
	o.before = o.settle(ctx, func(before, now usage) bool {
		return before.Files == now.Files && before.Goroutines == now.Goroutines
	})
	o.reset()
	o.want = int64(s.Calls)
	err = o.lap(ctx, o.rage)
	o.after = o.settle(ctx, func(_, now usage) bool { return len(Missed(o.growth(now))) == 0 })
	return o.figures(), err
}

// An outrage is a host and those who make hostile calls to it.
type outrage struct {
	Hostile
	dir     string
	ca      *identity.Authority
	log     logCounter
	edge    *edgeProcess
	metrics string
	kinds   []siege.Kind
	shares  int // the sum of those of kinds

	before, after usage // of the host, without any UE

	want         int64 // hostile calls of this lap
	made, honest atomic.Int64
	tenths       []usage // of the host, each time that a tenth of the calls was made

	mu      sync.Mutex
	seen    map[string]map[siege.Response]int // by kind
	wrong   map[string]int                    // answers that the kind does not allow, and those that did not come
	why     map[string][]string               // the first of them
	lost    int                               // honest calls without an answer
	crossed int                               // and those with another's
}

// begin starts the host.
func (o *outrage) begin(ctx context.Context) (err error) {
	if o.dir, err = os.MkdirTemp("", "bungee-hostile-"); err != nil {
		return err
	}
	if o.ca, err = identity.NewAuthority(); err != nil {
		return err
	}
	if err := o.ca.Write(o.dir); err != nil {
		return err
	}
	policy := filepath.Join(o.dir, "policy.toml")
	if err := os.WriteFile(policy, []byte(siege.Policy), 0o600); err != nil {
		return err
	}
	if o.metrics, err = freeAddress(); err != nil {
		return err
	}
	if o.Out != "" {
		if o.log.to, err = os.Create(filepath.Join(o.Out, "hosts.log")); err != nil {
			return err
		}
	}
	cmd := o.Edge(Host{Certs: o.dir, Name: "edge", Listen: "127.0.0.1:0", Cache: filepath.Join(o.dir, "modules"), Metrics: o.metrics, Policy: policy})
	cmd.Stderr = &o.log
	p, err := start(cmd)
	if err != nil {
		return err
	}
	o.edge = &edgeProcess{process: p}
	line, err := p.line()
	o.edge.address = strings.TrimPrefix(line, "listening on ")
	return err
}

// freeAddress is a TCP address that nobody has.
func freeAddress() (string, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return free.Addr().String(), free.Close()
}

func (o *outrage) end() (err error) {
	if o.edge != nil {
		err = o.edge.end()
	}
	if o.log.to != nil {
		err = errors.Join(err, o.log.to.Close())
	}
	return errors.Join(err, os.RemoveAll(o.dir))
}

// lap has all callers enter, do f, each on a goroutine of its own, and leave.
func (o *outrage) lap(ctx context.Context, f func(context.Context, *siege.Hostile) error) error {
	callers, err := o.enter(ctx)
	defer func() {
		for _, c := range callers {
			c.Leave()
		}
	}()
	if err != nil {
		return err
	}
	errs := make(chan error, len(callers)) // one each
	for _, c := range callers {
		go func() { errs <- f(ctx, c) }()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for left := len(callers); left > 0; {
		select {
		case e := <-errs:
			err = errors.Join(err, e)
			left--
		case <-tick.C:
			o.tell(ctx)
		}
	}
	return err
}

// tell tells how many calls were made, and measures the host at each tenth.
func (o *outrage) tell(ctx context.Context) {
	made := min(o.made.Load(), o.want)
	if o.Progress != nil {
		o.Progress("hostile calls", int(made), int(o.want))
	}
	if o.want > 0 && int(10*made/o.want) > len(o.tenths) {
		o.tenths = append(o.tenths, o.measure(ctx))
	}
}

// enter connects the callers: two of each tenant.
func (o *outrage) enter(ctx context.Context) (callers []*siege.Hostile, err error) {
	o.kinds = siege.Kinds()
	for i := range 2 * o.Tenants {
		c := &siege.Hostile{Name: fmt.Sprintf("hostile-%02d", i/2), Host: o.edge.address, TCP: i%2 == 1}
		if c.Conf, err = o.ca.TLS(identity.UE, c.Name); err != nil {
			return callers, err
		}
		callers = append(callers, c)
		nn, err := c.Enter(ctx, o.Seed+uint64(i))
		if err != nil {
			return callers, fmt.Errorf("%s: %w", c.Name, err)
		}
		if !nn {
			o.kinds = withoutNN(o.kinds)
		}
	}
	o.shares = 0
	for _, k := range o.kinds {
		o.shares += k.Share
	}
	return callers, nil
}

// withoutNN leaves out the kinds that need networks.
func withoutNN(kinds []siege.Kind) (rest []siege.Kind) {
	for _, k := range kinds {
		if !k.NN {
			rest = append(rest, k)
		}
	}
	return rest
}

// choose takes a kind by its share.
func (o *outrage) choose() *siege.Kind {
	n := rand.IntN(o.shares)
	for i := range o.kinds {
		if n -= o.kinds[i].Share; n < 0 {
			return &o.kinds[i]
		}
	}
	return nil // n is below the sum of all
}

// warm makes some calls of each kind.
func (o *outrage) warm(ctx context.Context, c *siege.Hostile) error {
	for range warmUp {
		for i := range o.kinds {
			if err := o.one(ctx, c, &o.kinds[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// rage makes calls until there are as many as wanted.
func (o *outrage) rage(ctx context.Context, c *siege.Hostile) error {
	for n := int64(1); o.made.Add(1) <= o.want; n++ {
		if err := o.one(ctx, c, o.choose()); err != nil {
			return err
		}
		if n%honestEvery == 0 {
			o.honestly(ctx, c)
		}
	}
	return nil
}

// one makes a hostile call and judges its answer. Its error is that the host cannot be reached.
func (o *outrage) one(ctx context.Context, c *siege.Hostile, k *siege.Kind) error {
	a, err := c.Call(ctx, k)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		if o.seen[k.Name] == nil {
			o.seen[k.Name] = map[siege.Response]int{}
		}
		o.seen[k.Name][a]++
	}
	if err == nil && !k.Expected(a) {
		o.blameLocked(k.Name, a.String()+", and only "+k.AllowedText()+" is allowed")
	}
	if err != nil {
		o.blameLocked(k.Name, err.Error())
	}
	if c.Conn.Err() != nil { // and so it is after a call that ended the connection, and could not make another
		return fmt.Errorf("after a call of kind %s: %w", k.Name, c.Conn.Err())
	}
	return nil
}

// blamed is how many wrong answers of a kind are told.
const blamed = 3

func (o *outrage) blameLocked(kind, why string) {
	if o.wrong[kind]++; len(o.why[kind]) < blamed {
		o.why[kind] = append(o.why[kind], why)
	}
}

// honestly makes an honest call.
func (o *outrage) honestly(ctx context.Context, c *siege.Hostile) {
	err := c.Honest(ctx)
	o.honest.Add(1)
	if err == nil || ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if errors.Is(err, siege.ErrCrossed) {
		o.crossed++
	} else {
		o.lost++
	}
	o.why[""] = append(o.why[""], err.Error())
}

// reset forgets what the warm-up has seen, but for what is wrong.
func (o *outrage) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.seen)
	o.made.Store(0)
	o.honest.Store(0)
	o.tenths = nil
}

const (
	settleEvery = 500 * time.Millisecond
	// settleMost is longer than the two minutes after which an idle Go program collects its garbage.
	settleMost  = 150 * time.Second
	settleQuick = 5 * time.Second
)

// settle measures the host, which no UE uses, until enough says so of two measurements in a row, or time is over.
func (o *outrage) settle(ctx context.Context, enough func(before, now usage) bool) (now usage) {
	long := settleMost
	if o.Quick {
		long = settleQuick
	}
	end := time.Now().Add(long)
	for before := (usage{}); ; before = now {
		wait(ctx, settleEvery)
		now = o.measure(ctx)
		if enough(before, now) || time.Now().After(end) || ctx.Err() != nil {
			return now
		}
	}
}

// measure measures the host.
func (o *outrage) measure(ctx context.Context) usage {
	u := processUsage(strconv.Itoa(o.edge.cmd.Process.Pid))
	scrape(ctx, newScraper(), o.metrics, &u)
	return u
}
