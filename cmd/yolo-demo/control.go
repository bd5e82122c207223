//go:build cgo && opencv

package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/page"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/stage"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload/manager"
)

const (
	// newsEvery is how often it is looked what the manager did, and boardEvery how often the table of hosts is made anew, while somebody looks.
	newsEvery, boardEvery = 200 * time.Millisecond, 600 * time.Millisecond
	// stateTime bounds a look at the manager.
	stateTime = 2 * time.Second
)

// A control shows on the page what the offload manager knows and does.
type control struct {
	d       *demo
	journal *stage.Journal                               // nil: the manager is somebody else's
	state   func(context.Context) (manager.State, error) // nil: what the UE knows is all
	quit    chan struct{}
	wg      sync.WaitGroup

	mu     sync.Mutex // leaf
	frames []time.Time

	// Owned by run.
	told    ue.Placement // whose events are shown
	boarded time.Time
	failed  string // why the last look at the manager failed
}

// openControl begins to show what there is, if there are a page and a manager.
func (d *demo) openControl(context.Context) error {
	if d.page == nil || len(d.managers()) == 0 {
		return nil
	}
	c := &control{d: d, quit: make(chan struct{})}
	done := func() {}
	switch {
	case d.stage != nil:
		c.journal, c.state = d.stage.Journal(), d.stage.State
	case d.opt.socket != "":
		c.state, done = stage.StateAt(d.opt.socket)
	}
	d.control = c
	c.wg.Go(c.run)
	d.atEnd(func() error {
		close(c.quit)
		c.wg.Wait()
		done()
		if c.journal != nil {
			return c.journal.Close()
		}
		return nil
	})
	return nil
}

// begins takes note of when a frame begins.
func (c *control) begins(now time.Time) {
	c.mu.Lock()
	c.frames = append(c.frames, now)
	c.mu.Unlock()
}

// frameAt returns the frame that was computed at a time.
func (c *control) frameAt(t time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, sort.Search(len(c.frames), func(i int) bool { return c.frames[i].After(t) })-1)
}

// run shows news until the end.
func (c *control) run() {
	tick := time.NewTicker(newsEvery)
	defer tick.Stop()
	for {
		c.showNews()
		if c.d.page.Looking() && time.Since(c.boarded) >= boardEvery {
			c.boarded = time.Now()
			c.showBoard()
		}
		select {
		case <-tick.C:
		case <-c.quit:
			return
		}
	}
}

// showNews shows what has happened since it was last called: what the manager has written, or else what it has told the UE.
func (c *control) showNews() {
	if c.journal == nil {
		for _, e := range toldSince(c.told, c.placement()) {
			e.Frame = c.frameAt(time.Now())
			c.d.page.Event(e)
		}
		c.told = c.placement()
		return
	}
	events, err := c.journal.Read()
	if err != nil {
		c.warn(err)
	}
	for _, e := range events {
		c.d.page.Event(page.Event{Frame: c.frameAt(e.At), Kind: string(e.Kind), Host: e.Host, From: e.From, Others: e.Others, Text: e.Text})
	}
}

func (c *control) placement() ue.Placement { return c.d.handler.Placement(&detectObjectsFunc.Desc) }

// warn logs a fault that was not logged last.
func (c *control) warn(err error) {
	if why := err.Error(); why != c.failed {
		c.failed = why
		c.d.log.Warn("the page does not show all of the edge", "why", why)
	}
}

// toldSince returns what a manager has told the UE between two looks.
func toldSince(before, now ue.Placement) (all []page.Event) {
	if now.Measured != before.Measured {
		for _, n := range now.Near {
			all = append(all, page.Event{Kind: string(stage.Probe), Host: n.Host, Text: fmt.Sprintf("is %.1f ms away", millis(n.RTT))})
		}
	}
	if now.Number == before.Number {
		return all
	}
	e := page.Event{Kind: string(stage.Placed), Host: now.Primary, Text: now.Why}
	switch {
	case now.Primary == "":
		e.Kind = string(stage.Refusal)
	case before.Primary != "" && before.Primary != now.Primary:
		e.Kind, e.From = string(stage.Move), before.Primary
	}
	return append(all, e)
}

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }

// showBoard shows what is known of the edge now.
func (c *control) showBoard() {
	told := c.placement()
	b := page.Board{Manager: told.Manager, Source: "what the UE knows", Lease: page.Lease{Host: told.Primary, Standby: told.Standby, Why: told.Why}}
	st, known := c.look()
	if known {
		b.Source = "by its own word"
		addManager(&b, &st, &told)
	} else {
		b.Hosts = hostsOfUE(&told)
	}
	addRoles(&b)
	if known && c.d.stage != nil {
		b.Source = "it and the hosts are run by this demo"
		for i := range b.Hosts {
			c.d.addStage(&b.Hosts[i])
		}
	}
	c.d.page.Board(b)
}

// look returns what the manager knows, if it says so.
func (c *control) look() (st manager.State, ok bool) {
	if c.state == nil {
		return st, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), stateTime)
	defer cancel()
	st, err := c.state(ctx)
	if err != nil {
		c.warn(err)
	}
	return st, err == nil
}

// hostsOfUE returns the hosts that the UE has heard of.
func hostsOfUE(p *ue.Placement) (all []page.Host) {
	names := []string{p.Primary, p.Standby}
	for _, n := range p.Near {
		names = append(names, n.Host)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		unknown := report.Number(math.NaN())
		h := page.Host{Name: name, State: "unknown", Sessions: unknown, Load: unknown, Cores: unknown, Capacity: unknown, LInf: unknown}
		if name == p.Primary || name == p.Standby {
			h.State = "leased"
		}
		h.RTT = rttOf(name, p)
		all = append(all, h)
	}
	return all
}

// addRoles says which hosts the lease of the board is for: the manager's word where there is one, for a UE takes its standby by itself.
func addRoles(b *page.Board) {
	for i := range b.Hosts {
		b.Hosts[i].Role = roleOf(b.Hosts[i].Name, &b.Lease)
	}
}

func roleOf(host string, l *page.Lease) string {
	switch host {
	case l.Host:
		return "in use"
	case l.Standby:
		return "standby"
	}
	return ""
}

// rttOf returns how far a host was when the UE measured it.
func rttOf(host string, p *ue.Placement) report.Number {
	for _, n := range p.Near {
		if n.Host == host {
			return report.Number(millis(n.RTT))
		}
	}
	return report.Number(math.NaN())
}

// addManager adds to a board what a manager knows.
func addManager(b *page.Board, st *manager.State, told *ue.Placement) {
	module := fmt.Sprintf("%x", detectObjectsFunc.Module.Digest[:8])
	for i := range st.Hosts {
		b.Hosts = append(b.Hosts, hostOn(&st.Hosts[i], module, told))
	}
	for i := range st.Sessions {
		s := &st.Sessions[i]
		if s.Number != told.Session {
			b.Others++
			if s.State == "local" {
				b.Waiting++
			}
			continue
		}
		b.Lease.State, b.Lease.Host, b.Lease.Standby, b.Lease.Why = s.State, s.Primary, s.Standby, s.Why
	}
	for _, l := range st.Leases {
		if l.Host == b.Lease.Host && strings.HasSuffix(l.Session, fmt.Sprintf("#%d", told.Session)) {
			b.Lease.ID, b.Lease.Calls = l.ID[:min(8, len(l.ID))], l.Calls
		}
	}
}

// hostOn returns a host as its manager knows it. One that is silent has no figures: those that there are were of before.
func hostOn(h *manager.Host, module string, told *ue.Placement) page.Host {
	unknown := report.Number(math.NaN())
	x := page.Host{
		Name: h.Name, State: h.State, Sessions: report.Number(h.Sessions), RTT: rttOf(h.Name, told),
		Load: unknown, Cores: unknown, Capacity: unknown, LInf: unknown,
	}
	if h.State == "silent" {
		return x
	}
	x.Load, x.Cores = report.Number(h.Load), report.Number(h.Turns)
	if h.Learned > 0 {
		x.Capacity = report.Number(h.Learned)
	}
	for _, m := range h.Modules {
		if m.Module == module && m.Inference > 0 {
			x.LInf = report.Number(m.Inference)
		}
	}
	return x
}

// addStage adds what the demo itself knows of its host, and what may be done to it.
func (d *demo) addStage(h *page.Host) {
	dead := d.stage.PID(h.Name) == 0
	switch rest := d.stage.Dead(h.Name); {
	case dead && rest > 0:
		h.State, h.Note = "dead", fmt.Sprintf("back in %.0f s", math.Ceil(rest.Seconds()))
	case dead:
		h.State, h.Note = "dead", "it is started again"
	default:
		h.Actions = append(h.Actions, page.Kill)
	}
	if h.State == "draining" {
		h.Actions = append(h.Actions, page.Serve)
	} else if !dead {
		h.Actions = append(h.Actions, page.Drain)
	}
	if d.stage.Filled(h.Name) {
		h.Note = strings.TrimPrefix(h.Note+", being filled", ", ")
		h.Actions = append(h.Actions, page.Empty)
	} else if !dead {
		h.Actions = append(h.Actions, page.Fill)
	}
}

// act does to one of the demo's own hosts what somebody has pressed a button for.
func (d *demo) act(ctx context.Context, host string, a page.Action) error {
	switch a {
	case page.Kill:
		return d.stage.Kill(host)
	case page.Drain:
		return d.stage.Drain(ctx, host)
	case page.Serve:
		return d.stage.Serve(ctx, host)
	case page.Fill:
		return d.stage.Fill(host)
	case page.Empty:
		return d.stage.Empty(host)
	}
	return fmt.Errorf("nobody knows how to %s a host", a)
}
