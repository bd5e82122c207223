package host

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/far"
)

// A session is a UE's session: all its connections that named the same number in their
// Hello. They share the far endpoints of its channels, so that a channel attached by one
// connection is reached over the others; the state that host functions keep for the
// session; and its bill.
type session struct {
	h       *Handler
	key     sessionKey
	tenant  *tenant
	account *executor.Account
	far     *far.Server // its calls and channels
	grant   *grant      // its lease; nil at a host without a manager
	conns   int         // guarded by the handler's mu
}

// A sessionKey includes the names that the UE's certificate proves, so that no UE reaches
// another's channels by naming its session.
type sessionKey struct {
	ue    string // with its tenant's name
	owner string // its tenant's name
	id    uint64
	grant *grant // its lease: what a UE does by two is two sessions
	alone *conn  // the connection, if it named no session
}

// join adds a connection to its session.
func (h *Handler) join(c *conn) *session {
	key := sessionKey{ue: c.ue, owner: c.owner, id: c.number.Load(), grant: c.grant.Load()}
	if key.id == 0 {
		key.alone = c
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[key]
	if s == nil {
		s = h.newSessionLocked(key)
		h.sessions[key] = s
	}
	s.conns++
	return s
}

func (h *Handler) newSessionLocked(key sessionKey) *session {
	t := h.enterLocked(key.owner)
	s := &session{
		h: h, key: key, tenant: t, grant: key.grant,
		account: &executor.Account{Tenant: t.Tenant, Name: fmt.Sprintf("%s/%x", key.ue, key.id)},
	}
	s.far = far.NewServer(far.Config{
		Call: s.call, Open: s.openEndpoint, Endpoints: h.cfg.Channels, Memory: t.memory, Logger: h.cfg.Logger.With("ue", key.ue), Refused: s.refused,
	})
	return s
}

// part removes a connection that has ended from its session. The last one ends the
// session.
func (h *Handler) part(s *session) {
	h.mu.Lock()
	s.conns--
	last := s.conns == 0
	if last {
		delete(h.sessions, s.key)
	}
	h.mu.Unlock()
	if last {
		s.far.Close()
		s.logBill()
		h.leave(s.tenant)
	}
}

// logBill logs what the session cost, if it made calls.
func (s *session) logBill() {
	b := s.account.Bill()
	if b.Calls == 0 {
		return
	}
	s.h.cfg.Logger.Info("bill", "tenant", s.tenant.Name(), "session", s.account.Name, "bill", b)
}
