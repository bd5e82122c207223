package ue

import (
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A Placement is what an offload manager has said last of where a function's module runs, and what the UE has measured for it.
type Placement struct {
	// Manager is the address of the manager that is connected. Empty means that none is: hosts stay as they are meanwhile.
	Manager string
	// Session is the number that the module's session has with the manager.
	Session uint64
	// Number counts what managers have said of the session. Zero means nothing yet.
	Number int
	// Primary and Standby are the names of the hosts that may be used. Without a primary the module runs on the UE.
	Primary, Standby string
	// Why is the manager's reason, for people: text of somebody else.
	Why string
	// Retry is when the manager is asked again. Zero means not by itself.
	Retry time.Time
	// Near are the hosts that the manager named last and that are near enough, with their measured distance. Measured counts such measurements.
	Near     []Distance
	Measured int
}

// A Distance is how far an edge host is.
type Distance struct {
	Host string
	RTT  time.Duration // the least round trip of a few
}

// Placement returns where a manager has the module of f run. It is the zero Placement without Config.Managers, and before f was called,
// required or prepared. Its slice must not be changed.
func (h *Handler) Placement(f *offload.Desc) Placement {
	if h.manager == nil {
		return Placement{}
	}
	h.manager.mu.Lock()
	p := h.manager.placements[f.Module.Digest]
	h.manager.mu.Unlock()
	if p == nil {
		return Placement{}
	}
	told := *p.told.Load()
	if at := h.manager.at.Load(); at != nil {
		told.Manager = *at
	}
	return told
}

// tell takes note of what the manager has said. It belongs to run.
func (p *placement) tell(why string) {
	next := *p.told.Load()
	next.Number++
	next.Primary, next.Standby, next.Why, next.Retry = nameOf(p.primary), nameOf(p.standby), why, p.retry
	p.told.Store(&next)
}

// tellNear takes note of what was measured. It belongs to run.
func (p *placement) tellNear(links []wire.LinkFeel) {
	next := *p.told.Load()
	next.Measured++
	next.Near = make([]Distance, 0, len(links))
	for _, l := range links {
		next.Near = append(next.Near, Distance{l.Host, l.RTT})
	}
	p.told.Store(&next)
}

func nameOf(s *site) string {
	if s == nil {
		return ""
	}
	return s.host
}
