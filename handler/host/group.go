package host

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A group is the connections of one UE that said the same session in their
// Hello: a session. They share the far endpoints of its channels, what one connection
// attached, messages on another one reach; what host functions keep for it; and its
// bill.
type group struct {
	h       *Handler
	key     groupKey
	tenant  *tenant
	account *executor.Account
	srv     *far.Server
	conns   int // guarded by the handler's mu
}

// A groupKey has the name that the UE's certificate proves, so that no UE comes
// to another's channels by its session alone.
type groupKey struct {
	ue      string
	session uint64
	alone   *session // the connection, if it named no session
}

// joined returns the connection's group. What a UE says before its hello is of no
// session.
func (s *session) joined() *group {
	s.joining.Do(func() { s.group = s.h.join(s) })
	return s.group
}

// join adds a connection to its group.
func (h *Handler) join(s *session) *group {
	key := groupKey{ue: s.ue, session: s.id.Load()}
	if key.session == 0 {
		key.alone = s
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[key]
	if g == nil {
		g = h.newGroup(key)
		h.groups[key] = g
	}
	g.conns++
	return g
}

func (h *Handler) newGroup(key groupKey) *group {
	t := h.enterLocked(key.ue)
	g := &group{
		h: h, key: key, tenant: t,
		account: &executor.Account{Tenant: t.Tenant, Name: fmt.Sprintf("%s/%x", key.ue, key.session)},
	}
	g.srv = far.NewServer(far.Config{
		Call: g.call, Open: g.openFar, Endpoints: cap(t.fars), Logger: h.cfg.Logger.With("ue", key.ue),
	})
	return g
}

// part takes a connection that has ended out of its group. The last one ends the
// session.
func (h *Handler) part(g *group) {
	h.mu.Lock()
	g.conns--
	last := g.conns == 0
	if last {
		delete(h.groups, g.key)
	}
	h.mu.Unlock()
	if last {
		g.srv.Close()
		g.logBill()
		h.leave(g.tenant)
	}
}

// logBill writes the line of what the session cost, if it cost anything.
func (g *group) logBill() {
	b := g.account.Bill()
	if b.Calls == 0 {
		return
	}
	g.h.cfg.Logger.Info("bill", "tenant", g.tenant.Name(), "session", g.account.Name, "bill", b)
}

// data answers a stream of the data plane, whose first type has been read.
func (s *session) data(t wire.Type, st *link.Stream) error {
	if t != wire.TypeCall && !s.helloed.Load() {
		return &wire.Fail{Code: wire.CodeProtocol, Text: "a channel needs a hello before it"}
	}
	s.joined().srv.Serve(st.Context(), t, st)
	return nil
}
