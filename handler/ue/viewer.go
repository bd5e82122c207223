package ue

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
)

const (
	// viewEvery is the time between two views: what they tell changes more slowly, but for whether a host is ready, which each call
	// looks up by itself.
	viewEvery = 50 * time.Millisecond
	// restAfter is how many views without a call are enough: a UE that calls nothing has nothing to decide.
	restAfter = 40
	// rateOver is the time over which the rate of calls is averaged.
	rateOver = 2 * time.Second
)

// A viewer makes the views that the policy decides on. Its run goroutine has all the state, and publishes each view by one
// store; calls only load it.
//
//	watching --restAfter views without a call--> resting --a call, a requirement--> watching
type viewer struct {
	// Constant.
	h        *Handler
	notifier *notifier.Notifier // nil: nothing is known of the device
	limit    policy.Reading[float64]
	began    time.Time

	// Any goroutine.
	view    atomic.Pointer[policy.View]
	resting atomic.Bool
	wake    chan struct{} // cap 1: a note that there is a call to a viewer that rests, or that requirements have changed

	// Owned by run.
	functions   []*learned    // in the order of the view's
	calls       uint64        // of all functions at the last view
	feels       time.Duration // when to tell the notifier next
	expects     time.Duration // when to look again at what hosts are needed for
	expected    int           // functions that were looked at
	links       links
	thermometer policy.Thermometer
	sample      *notifier.Sample // the last one that the thermometer has
}

func newViewer(h *Handler, cfg *Config) *viewer {
	v := &viewer{h: h, notifier: cfg.Notifier, began: time.Now(), wake: make(chan struct{}, 1)}
	if cfg.MaxTemperature != 0 {
		v.limit = policy.Known(cfg.MaxTemperature)
	}
	v.view.Store(&policy.View{})
	return v
}

// add adds d to what the policy decides on, and returns its number there. It is called with h.adding held.
func (v *viewer) add(d *offload.Desc) int {
	for {
		old := v.view.Load()
		next := *old
		next.Functions = append(slices.Clip(old.Functions), policy.Function{
			Name: d.Name, Idempotent: d.Idempotent, Require: policy.Requirements{Latency: d.Deadline},
		})
		if v.view.CompareAndSwap(old, &next) { // else there is a newer view
			return len(old.Functions)
		}
	}
}

// called takes note of a call.
func (v *viewer) called() {
	if v.resting.Load() {
		note(v.wake)
	}
}

// View returns the newest view that the policy decides on: how the device, the link, the hosts and the functions are. Nobody may change it.
func (h *Handler) View() *policy.View { return h.viewer.view.Load() }

// run makes views until ctx ends.
func (v *viewer) run(ctx context.Context) {
	if v.h.explainer != nil {
		defer func() { v.look(time.Since(v.began)) }() // what was decided last
	}
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for idle := 0; ; {
		if idle >= restAfter {
			tick.Stop()
			v.resting.Store(true)
			if v.count() == v.calls { // else there was a call before it could see that nobody watches
				select {
				case <-ctx.Done():
					return
				case <-v.wake:
				}
			}
			v.resting.Store(false)
			tick.Reset(viewEvery)
			idle = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		case <-tick.C:
		}
		before := v.calls
		v.look(time.Since(v.began))
		if idle++; v.calls != before {
			idle = 0
		}
	}
}

// count returns how many calls there were.
func (v *viewer) count() (n uint64) {
	for _, f := range *v.h.functions.Load() {
		n += f.calls.Load()
	}
	return n
}

// look makes the view of now, has the policy plan on it, and publishes it.
func (v *viewer) look(now time.Duration) {
	old := v.view.Load()
	if e := v.h.explainer; e != nil {
		e.writeDecisions(now)
		defer v.flush()
	}
	next := v.build(old, now)
	next.Standings = v.h.policy.Load().Plan(next)
	for !v.view.CompareAndSwap(old, next) { // a function has come meanwhile
		old = v.view.Load()
		next.Functions = append(next.Functions, old.Functions[len(next.Functions):]...)
	}
}

// flush gives the log of decisions what there is.
func (v *viewer) flush() {
	e := v.h.explainer
	if before := e.failed; before == nil {
		if err := e.flush(); err != nil {
			v.h.log.Error("the log of decisions ends", "why", err)
		}
	}
}

// build returns the view of now.
func (v *viewer) build(old *policy.View, now time.Duration) *policy.View {
	next := &policy.View{At: now, Functions: slices.Clone(old.Functions), Standings: old.Standings}
	v.meet()
	v.calls = 0
	for i, k := range v.functions {
		if i < len(next.Functions) {
			here, there := k.look(&next.Functions[i], now, now-old.At)
			for _, s := range there {
				v.links.carried(&s.Outcome, old.Link.RTT, now)
			}
			if e := v.h.explainer; e != nil {
				e.writeEnds(i, policy.OnUE, here)
				e.writeEnds(i, policy.OnEdge, there)
			}
			v.calls += k.calls
		}
	}
	v.lookAtDevice(next)
	v.links.look(next, v.functions, now)
	v.feel(next)
	v.expect(next)
	return next
}

// feel tells the notifier how the way to the host in use is, once a second.
func (v *viewer) feel(next *policy.View) {
	rtt, known := next.Link.RTT.Get()
	if v.notifier == nil || !known || next.At < v.feels {
		return
	}
	v.feels = next.At + feelEvery
	v.notifier.Feel(notifier.Path{
		Host: next.Hosts[0].Name, RTT: rtt, Jitter: next.Link.Jitter.Or(0), Loss: next.Link.Loss.Or(0),
		RateUp: 8 * next.Link.Up.Or(0), RateDown: 8 * next.Link.Down.Or(0),
	})
}

const (
	// expectEvery is the time between two looks at what hosts are needed for.
	expectEvery = time.Second
	// foresight is how far ahead a host is asked for: to get one takes about a second, or two with a module that is compiled.
	foresight = 5 * time.Second
)

// expect tells the manager for which modules a host is needed: those with a function that the policy would send there, now or soon,
// or would look with at how it is there, if a host were ready.
func (v *viewer) expect(view *policy.View) {
	m := v.h.manager
	if m == nil || view.At < v.expects && v.expected == len(v.functions) {
		return
	}
	v.expects, v.expected = view.At+expectEvery, len(v.functions)
	supposed := *view
	if !slices.ContainsFunc(view.Hosts, func(h policy.Host) bool { return h.Ready }) {
		supposed.Hosts = []policy.Host{{Name: "a host", Ready: true}}
	}
	p := v.h.policy.Load()
	supposed.Standings = p.Plan(&supposed)
	wanted := map[*offload.Module]bool{}
	for i, k := range v.functions {
		if k.f == nil || i >= len(view.Functions) {
			continue
		}
		f := &view.Functions[i]
		explores := i < len(supposed.Standings) && supposed.Standings[i].Explore > 0
		next := policy.Call{Function: i, Number: k.calls, Ready: true, Now: k.f.now()}
		soon := next
		soon.Number += uint64(k.rate * foresight.Seconds())
		needs := explores || p.Foresee(next, &supposed).Where == policy.OnEdge || p.Foresee(soon, &supposed).Where == policy.OnEdge
		wanted[k.f.desc.Module] = wanted[k.f.desc.Module] || needs && !f.Require.Private
	}
	m.expects(time.Now(), wanted)
}

// meet gets to know functions that are new.
func (v *viewer) meet() {
	all := *v.h.functions.Load()
	if len(all) == len(v.functions) {
		return
	}
	for _, f := range all {
		for len(v.functions) <= f.number {
			v.functions = append(v.functions, &learned{})
		}
		v.functions[f.number].f = f
	}
}

// lookAtDevice puts the device into a view.
func (v *viewer) lookAtDevice(next *policy.View) {
	next.Device.Limit = v.limit
	if v.notifier == nil {
		return
	}
	s := v.notifier.Sample()
	next.Device = device(s)
	next.Device.Limit = v.limit
	next.Link.Kind = kindOf(s)
	if s != v.sample {
		v.sample = s
		v.thermometer.Add(next.At, next.Device.Temperature, next.Device.Load)
	}
	next.Device.Thermal = v.thermometer.Thermal()
}

// A learned is what is known of a function.
type learned struct {
	f         *function       // nil: it is being added
	meters    [2]policy.Meter // by place
	news      [2]bool         // since the last estimate
	estimated [2]time.Duration
	calls     uint64
	rate      float64 // calls a second
	levels    []level
}

// look puts the function into a view that is made dt after the one before. It returns the calls since then.
func (k *learned) look(f *policy.Function, now, dt time.Duration) (here, there []sample) {
	if k.f == nil {
		return nil, nil
	}
	f.Require = *k.f.require.Load()
	here, there = k.f.take(now)
	learn := func(m *policy.Meter, all []sample) {
		for i := range all {
			o := &all[i].Outcome
			o.Missed = o.Missed || f.Require.Latency > 0 && o.Took > f.Require.Latency
			m.Add(*o)
		}
	}
	learn(&k.meters[policy.OnUE], here)
	learn(&k.meters[policy.OnEdge], there)
	k.estimate(policy.OnUE, &f.UE, here, now, dt)
	k.estimate(policy.OnEdge, &f.Edge, there, now, dt)
	k.lookAtLevels(f, here, there)

	calls := k.f.calls.Load()
	if seconds := dt.Seconds(); seconds > 0 {
		k.rate += (float64(calls-k.calls)/seconds - k.rate) * (1 - math.Exp(-seconds/rateOver.Seconds()))
		f.Rate = policy.Known(k.rate)
	}
	k.calls = calls
	took, timed := f.UE.Latency.Get()
	k.f.brief.Store(timed && took < briefRun && k.rate > briefRate)
	return here, there
}

const (
	// estimateEvery is the time between two estimates of calls that are in time: each costs some microseconds.
	estimateEvery = 200 * time.Millisecond
	// firstCalls are estimated at once, each.
	firstCalls = 20
)

// estimate brings e, what is expected of calls at a place, up to now. Late calls count at once.
func (k *learned) estimate(where policy.Place, e *policy.Estimate, news []sample, now, dt time.Duration) {
	k.news[where] = k.news[where] || len(news) > 0
	late := slices.ContainsFunc(news, func(s sample) bool { return s.Missed })
	if k.news[where] && (late || e.Calls < firstCalls || now-k.estimated[where] >= estimateEvery) {
		*e = k.meters[where].Estimate(now)
		k.news[where], k.estimated[where] = false, now
		return
	}
	switch {
	case len(news) > 0:
		e.Age = 0
	case e.Calls > 0:
		e.Age += dt
	}
}
