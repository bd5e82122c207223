package page

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// A Board is what is known of the edge now: hosts, and what the offload manager has given the UE.
type Board struct {
	// Manager is where the offload manager is. Empty means that none is connected.
	Manager string `json:"manager"`
	// Source says who tells of the hosts.
	Source string `json:"source"`
	Hosts  []Host `json:"hosts"`
	Lease  Lease  `json:"lease"`
	// Others is how many sessions of other applications there are, and Waiting how many of these have no host.
	Others  int `json:"others"`
	Waiting int `json:"waiting"`
}

// A Host is an edge host on the board. What is not known is NaN.
type Host struct {
	Name     string        `json:"name"`
	State    string        `json:"state"`    // ready, draining, cordoned, silent, dead
	Note     string        `json:"note"`     // more about that, for people
	Role     string        `json:"role"`     // in use, standby, or empty
	Sessions report.Number `json:"sessions"` // of all UEs
	Load     report.Number `json:"load"`     // cores in use by calls
	Cores    report.Number `json:"cores"`    // that it says it has
	Capacity report.Number `json:"capacity"` // cores that it seems to have: learned
	LInf     report.Number `json:"linf"`     // what a call takes there now, ms
	RTT      report.Number `json:"rtt"`      // round trip, ms
	Actions  []Action      `json:"actions"`  // what may be done to it
}

// A Lease is what the offload manager has given the UE.
type Lease struct {
	State   string `json:"state"` // running, placed, local and so on
	ID      string `json:"id"`
	Host    string `json:"host"`
	Standby string `json:"standby"`
	Calls   uint64 `json:"calls"` // made with it
	Why     string `json:"why"`
}

// An Action is what somebody who looks at the page can do to a host.
type Action string

// The actions.
const (
	Kill  Action = "kill"
	Drain Action = "drain"
	Serve Action = "serve"
	Fill  Action = "fill"
	Empty Action = "empty"
)

// An Event is something that happened to the edge, on the frame axis.
type Event struct {
	Frame  int    `json:"n"`
	Kind   string `json:"kind"` // probe, refusal, move, placed, host
	Host   string `json:"host,omitempty"`
	From   string `json:"from,omitempty"` // of a move
	Others bool   `json:"others,omitempty"`
	Text   string `json:"text"`
}

// maxEvents bounds the events that a late viewer gets.
const maxEvents = 2000

// Board shows what is known of the edge, which belongs to the page from then on.
func (p *Page) Board(b Board) {
	b.Manager, b.Source, b.Lease.Why = cut(b.Manager), cut(b.Source), cut(b.Lease.Why)
	for i := range b.Hosts {
		h := &b.Hosts[i]
		h.Name, h.Note = cut(h.Name), cut(h.Note)
		if !p.mayAct() {
			h.Actions = nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.board = &b
	p.boards++
	p.tellLocked()
}

// Event shows something that happened. Events come in order.
func (p *Page) Event(e Event) {
	e.Host, e.From, e.Text = cut(e.Host), cut(e.From), cut(e.Text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if len(p.events) >= maxEvents {
		const old = maxEvents / 4
		p.events = append(p.events[:0:0], p.events[old:]...)
		p.lost += old
	}
	p.events = append(p.events, e)
	p.tellLocked()
}

// Looking says whether somebody has the page open, be it in a hidden tab.
func (p *Page) Looking() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looking > 0
}

// mayAct says whether the page has buttons: it must be this machine's alone, since who sees it may press them.
func (p *Page) mayAct() bool { return p.act != nil && p.local }

// An order is what the page asks for.
type order struct {
	Action Action `json:"action"`
	Host   string `json:"host"`
}

// maxOrder bounds an order, in bytes.
const maxOrder = 1 << 10

// serveAct does what somebody has pressed a button for. A site elsewhere can have the browser send a request here, so nothing is done unless it
// comes from this page: by its origin, with its token, in a form that no plain link or form sends.
func (p *Page) serveAct(w http.ResponseWriter, r *http.Request) {
	if why := p.stranger(r); why != "" {
		http.Error(w, why, http.StatusForbidden)
		return
	}
	var o order
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil || !p.has(o) {
		http.Error(w, "there is no such host, or nothing of the kind can be done to it now", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), stall)
	defer cancel()
	if err := p.act(ctx, o.Host, o.Action); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// stranger says why a request is not the page's own; "" if it is.
func (p *Page) stranger(r *http.Request) string {
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case !p.mayAct():
		return "this page has no buttons"
	case r.Header.Get("Origin") != "http://"+r.Host, site != "" && site != "same-origin":
		return "only the page itself may ask for that"
	case r.Header.Get("Content-Type") != "application/json":
		return "want application/json"
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("Bungee-Token")), []byte(p.token)) != 1:
		return "the page is of another run: load it again"
	}
	return ""
}

// has says whether the board offers what is asked for.
func (p *Page) has(o order) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.board != nil && slices.ContainsFunc(p.board.Hosts, func(h Host) bool {
		return h.Name == o.Host && slices.Contains(h.Actions, o.Action)
	})
}
