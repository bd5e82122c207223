package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/lab/internal/siege"
	"github.com/bungee-xr/bungee/offload"
)

// A quietCrowd is the tenants that want no more than is theirs.
type quietCrowd struct {
	tenants []*quietTenant
	rounds  map[time.Duration]int // of the guest, for calls of this work
}

// A quietTenant has a certificate, a connection and a module of its own.
type quietTenant struct {
	name string
	way  siege.Way
	conf *tls.Config

	mu   sync.Mutex
	ue   *siege.UE
	free []link.Stream // that carry no call
}

// quietLimit is how long a call may take before it counts as lost.
const quietLimit = 20 * time.Second

// newQuietCrowd connects n tenants to the host at addr and deploys their modules.
func newQuietCrowd(ctx context.Context, ca *identity.Authority, addr string, n int) (*quietCrowd, error) {
	q := &quietCrowd{rounds: map[time.Duration]int{}}
	for i := range n {
		t := &quietTenant{name: fmt.Sprintf("quiet-%02d", i), way: siege.WayOfQuiet(addr, i)}
		var err error
		if t.conf, err = ca.TLS(identity.UE, t.name); err == nil {
			err = t.enter(ctx)
		}
		if err != nil {
			q.close()
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		q.tenants = append(q.tenants, t)
	}
	return q, nil
}

func (q *quietCrowd) close() {
	for _, t := range q.tenants {
		t.ue.Close("")
	}
}

// enter connects, and deploys the module.
func (t *quietTenant) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	u, err := siege.Dial(ctx, t.way, t.conf)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.ue, t.free = u, nil
	t.mu.Unlock()
	return u.Deploy(ctx, siege.Guest)
}

// calibrate finds how many rounds of the guest are that much work, on an idle host.
func (q *quietCrowd) calibrate(ctx context.Context, work time.Duration) error {
	const some = 200_000
	var least time.Duration
	for i := range 50 {
		a := q.tenants[i%len(q.tenants)].call(ctx, some)
		if a.err != nil {
			return fmt.Errorf("calibrate: %w", a.err)
		}
		if least == 0 || a.run < least {
			least = a.run
		}
	}
	q.rounds[work] = int(some * work.Seconds() / least.Seconds())
	return nil
}

// live has all tenants make calls of this work for some time, each at times of its own, whatever
// becomes of the calls before. It returns when all have been answered, or are lost.
func (q *quietCrowd) live(ctx context.Context, work, long time.Duration) tally {
	mean := time.Duration(float64(work) * float64(len(q.tenants)) / quietShare)
	begin := time.Now()
	var sum tally
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, t := range q.tenants {
		all.Go(func() {
			for due := begin; ; {
				due = due.Add(time.Duration(rand.ExpFloat64() * float64(mean)))
				if due.Sub(begin) > long || ctx.Err() != nil {
					return
				}
				wait(ctx, time.Until(due))
				all.Go(func() {
					a := t.call(ctx, q.rounds[work])
					a.took = time.Since(due)
					mu.Lock()
					defer mu.Unlock()
					sum.count(a)
				})
			}
		})
	}
	all.Wait()
	return sum
}

// An answer is what came of a call.
type answer struct {
	err        error         // there was none
	crossed    bool          // it is not the caller's
	redeployed bool          // the host had forgotten the module
	took       time.Duration // since the call was due
	queue, run time.Duration // of that, as the host says: until it had a turn, and in the guest
}

// call makes a call, on another connection when the last one is gone, and with the module again
// when the host has forgotten it.
func (t *quietTenant) call(ctx context.Context, rounds int) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	body := fmt.Appendf(nil, "%s/%016x/%0200d", t.name, rand.Uint64(), 0)
	for range 3 {
		a = t.try(ctx, rounds, body)
		var fail *wire.Fail
		if !errors.As(a.err, &fail) || fail.Code != offload.CodeNoModule {
			return a
		}
		if err := t.ue.Deploy(ctx, siege.Guest); err != nil {
			a.err = err
			return a
		}
		defer func() { a.redeployed = true }()
	}
	return a
}

func (t *quietTenant) try(ctx context.Context, rounds int, body []byte) (a answer) {
	st, err := t.stream(ctx)
	if err != nil {
		return answer{err: err}
	}
	stop := context.AfterFunc(ctx, st.Reset)
	res, reply, err := siege.Exchange(st, wire.Call{Module: guestDigest, Deadline: quietLimit}, siege.Answer(rounds, body))
	var fail *wire.Fail
	if stop() && (err == nil || errors.As(err, &fail)) {
		t.mu.Lock()
		t.free = append(t.free, st)
		t.mu.Unlock()
	} else {
		st.Reset()
	}
	if err != nil {
		return answer{err: err}
	}
	return answer{crossed: res.Status != 0 || !bytes.Equal(reply, body), queue: res.Queue, run: res.Run}
}

var guestDigest = sha256.Sum256(siege.Guest)

// stream returns a stream that carries no call, of a connection that lives.
func (t *quietTenant) stream(ctx context.Context) (link.Stream, error) {
	t.mu.Lock()
	u := t.ue
	if n := len(t.free); n > 0 && u.Err() == nil {
		st := t.free[n-1]
		t.free = t.free[:n-1]
		t.mu.Unlock()
		return st, nil
	}
	t.mu.Unlock()
	if u.Err() != nil {
		if err := t.enter(ctx); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	u = t.ue
	t.mu.Unlock()
	return u.Open(ctx)
}

// A tally is what came of calls.
type tally struct {
	made, lost, crossed, redeployed int
	why                             map[string]loss // of those lost
	took                            []time.Duration
	queue, run, rest                []time.Duration // parts of it; the rest is ways, reading and writing
}

func (t *tally) count(a answer) {
	t.made++
	switch {
	case a.err != nil:
		t.lost++
		t.lose(reasonOf(a.err), loss{1, exampleOf(a.err)})
		return
	case a.crossed:
		t.crossed++
	}
	if a.redeployed {
		t.redeployed++
	}
	t.took = append(t.took, a.took)
	t.queue, t.run, t.rest = append(t.queue, a.queue), append(t.run, a.run), append(t.rest, a.took-a.queue-a.run)
}

// reasonOf is an error in few words: the host's code, else the text.
func reasonOf(err error) string {
	var fail *wire.Fail
	if errors.As(err, &fail) {
		return fail.Code.String()
	}
	return fmt.Sprintf("%.80v", err)
}

// exampleOf is what the host says beside its code: the code alone does not tell what it lacks.
func exampleOf(err error) string {
	var fail *wire.Fail
	if errors.As(err, &fail) && fail.Text != "" {
		return fmt.Sprintf(" (%.120s)", fail.Text)
	}
	return ""
}

// A loss is how many calls were lost for a reason, and what was said of the first.
type loss struct {
	n       int
	example string
}

func (t *tally) lose(why string, l loss) {
	if t.why == nil {
		t.why = map[string]loss{}
	}
	old := t.why[why]
	t.why[why] = loss{old.n + l.n, cmp.Or(old.example, l.example)}
}

func (t *tally) add(o tally) {
	t.made, t.lost, t.crossed, t.redeployed = t.made+o.made, t.lost+o.lost, t.crossed+o.crossed, t.redeployed+o.redeployed
	for why, l := range o.why {
		t.lose(why, l)
	}
	t.took = append(t.took, o.took...)
	t.queue, t.run, t.rest = append(t.queue, o.queue...), append(t.run, o.run...), append(t.rest, o.rest...)
}

// reasons says why calls are lost, the most frequent first.
func (t *tally) reasons() string {
	names := slices.SortedFunc(maps.Keys(t.why), func(a, b string) int { return t.why[b].n - t.why[a].n })
	var parts []string
	for _, why := range names[:min(3, len(names))] {
		parts = append(parts, fmt.Sprintf("%d: %s%s", t.why[why].n, why, t.why[why].example))
	}
	return strings.Join(parts, "; ")
}

// ratios are the figures of the quiet tenants' times under siege over those in peace: the median
// of the rounds.
func ratios(name string, rounds []round) (all []Figure) {
	for _, p := range []float64{0.5, 0.99} {
		var ratio, alone, under, queue, run, rest []float64
		n := 0
		for _, r := range rounds {
			a, u := ms(quantile(r.alone.took, p)), ms(quantile(r.siege.took, p))
			if u == 0 {
				u = ms(quietLimit) // nobody was answered
			}
			alone, under, ratio = append(alone, a), append(under, u), append(ratio, over(u, a))
			queue, run, rest = append(queue, ms(quantile(r.siege.queue, p))), append(run, ms(quantile(r.siege.run, p))), append(rest, ms(quantile(r.siege.rest, p)))
			n += len(r.siege.took)
		}
		f := Figure{Case: name, Metric: fmt.Sprintf("quiet_p%g_over_alone", 100*p), Unit: "x", Value: quantile(ratio, 0.5), N: n}
		f.Beside = map[string]float64{
			"alone_ms": quantile(alone, 0.5), "siege_ms": quantile(under, 0.5),
			"siege_queue_ms": quantile(queue, 0.5), "siege_run_ms": quantile(run, 0.5), "siege_rest_ms": quantile(rest, 0.5),
		}
		if p > 0.5 {
			f = f.against("<=", 1.5)
		}
		all = append(all, f)
	}
	return all
}
