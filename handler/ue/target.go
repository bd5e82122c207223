package ue

import (
	"cmp"
	"context"
	"sync"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// Target returns the edge host at addr, "host:port" of UDP, as a place for the far
// endpoints of channels; the empty addr is Config.Edge. Targets of one address are
// equal and share one session. It begins with the first use, is kept from then on,
// and begins again when it is lost, until Close.
func (h *Handler) Target(addr string) elastic.Target {
	return target{h, h.edgeAt(cmp.Or(addr, h.addr))}
}

// A target is an edge host by its address.
type target struct {
	h    *Handler
	edge *edge
}

// Name returns the edge host's name, or its address while it has told none.
func (t target) Name() string {
	if name := t.edge.host.Load(); name != nil {
		return *name
	}
	return cmp.Or(t.edge.addr, "no edge host")
}

// Prepare waits until the host is connected and has the module of f.
func (t target) Prepare(ctx context.Context, f *offload.Desc) (elastic.Place, error) {
	if err := t.h.begin(t.edge); err != nil {
		return nil, err
	}
	t.edge.want(f.Module)
	for {
		s, err := t.edge.await(ctx, f.Module)
		if err != nil {
			return nil, err
		}
		if s.enter() { // else it is being left, and out of view
			return &held{far: far{t.edge, s}}, nil
		}
	}
}

// far is an edge host that is ready, while its session is sess.
type far struct {
	edge *edge
	sess *session
}

// Open opens a stream of a channel.
func (f *far) Open(ctx context.Context, p elastic.Priority) (elastic.Stream, error) {
	st, err := f.sess.open(ctx)
	if err != nil {
		return nil, link.Explain(err)
	}
	st.SetPriority(link.Urgency(int8(p)), true)
	return st, nil
}

// Release does nothing: the instances of functions belong to the host's pool.
func (f *far) Release() {}

// held is a far that its session waits for before it leaves the host.
type held struct {
	far
	once sync.Once
}

// Stripes implements elastic.Striped.
func (h *held) Stripes() int { return len(*h.sess.strands.Load()) }

// Watch implements elastic.Watcher.
func (h *held) Watch(changed func()) (stop func()) { return h.sess.watch(changed) }

// Release lets the session go.
func (h *held) Release() {
	h.once.Do(func() {
		h.sess.exit()
		h.edge.doubt(h.sess)
	})
}

// place is the edge host as the target of a move of a function, while its
// session is the far's.
type place struct{ far }

// Name returns the edge host's name.
func (p place) Name() string { return p.sess.host }

// Prepare returns at once: run has deployed the module ahead of the move, or the
// move fails and says what is lacking.
func (p place) Prepare(_ context.Context, f *offload.Desc) (elastic.Place, error) {
	v := p.edge.view.Load()
	if v.sess != p.sess {
		return nil, errConnecting
	}
	if err := v.serves(f.Module); err != nil {
		return nil, err
	}
	return &p.far, nil
}
