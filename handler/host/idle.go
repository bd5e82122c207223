package host

import (
	"time"

	"github.com/bungee-xr/bungee/internal/budget"
)

// A firstRoom is a tenant's room in which it always finds that of one instance. Else few tenants whose instances
// are in use, as those of channels are for as long as they last, would lock all others out; and where there are more tenants
// than room, each call would make an instance in place of another tenant's.
type firstRoom struct{ *budget.Share }

func (r firstRoom) Hold(n int64) bool { return r.HoldFirst(n) }

// vacate makes room for n bytes of the memory limit of an instance of t, and says whether there
// may be some. It closes an idle instance of another tenant that has more than an equal part of the room, if t
// would have no more than that. Instances in use stay, whatever their tenant has.
func (h *Handler) vacate(t *tenant, n int64) bool {
	for {
		switch t.room.Claim(n) {
		case budget.Grant: // somebody else has made it
			return true
		case budget.Scarce:
		default:
			return false
		}
		victim := h.roomiest(t)
		if victim == nil {
			return false
		}
		if victim.CloseIdle() {
			return true
		}
	}
}

// roomiest returns the tenant that is to close an idle instance: the one that has most for its
// weight, among those that have more than an equal part beside the one who asks; of several, the one that has not needed it for
// longest. Nil is none.
func (h *Handler) roomiest(asks *tenant) (most *tenant) {
	h.mu.Lock()
	all := make([]*tenant, 0, len(h.tenants))
	for _, t := range h.tenants {
		all = append(all, t)
	}
	h.mu.Unlock()
	var held int64
	var idle time.Time
	for _, t := range all {
		over := t.room.Over(asks.room)
		if over == 0 || over < held {
			continue
		}
		if since, ok := t.IdleSince(); ok && (over > held || since.Before(idle)) {
			most, held, idle = t, over, since
		}
	}
	return most
}
