package host

import (
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// MemoryStats are the bytes that are held for UEs beside their instances, see
// Config.Memory.
type MemoryStats struct {
	Most    int64 // that may be held
	Held    int64
	Peak    int64 // the most that a host has held; 0 for a tenant
	Waiting int   // frames that wait for room

	// Refused counts what found no room: because it was more than may be held at once,
	// because too much waited, or because no room came free in time.
	TooMuch, Busy, Late uint64
}

// crowded returns the Fail of a tenant that asks for one more of what, of which it and the host
// may have some number.
func crowded(t *tenant, what string, share *budget.Share, host *budget.Host) *wire.Fail {
	mine, all := share.Stats(), host.Stats()
	text := fmt.Sprintf("tenant %q has %d %s, and may have no more", t.Name(), mine.Held, what)
	if mine.Held < mine.Most {
		text = fmt.Sprintf("the host has %d of %d %s, and keeps the others for tenants that have fewer than the %d of %q", all.Held, all.Most, what, mine.Held, t.Name())
	}
	return &wire.Fail{Code: offload.CodeOverloaded, Text: text}
}

// noRoom returns the *wire.Fail of a refusal of the budget, and other errors as they are.
func noRoom(err error) error {
	if !errors.Is(err, budget.ErrRefused) {
		return err
	}
	return &wire.Fail{Code: offload.CodeOverloaded, Text: err.Error()}
}

func memoryStats(s budget.Stats) MemoryStats {
	return MemoryStats{s.Most, s.Held, s.Peak, s.Waiting, s.Refused.TooMuch, s.Refused.Busy, s.Refused.Late}
}

// Memory returns what is held for all UEs.
func (h *Handler) Memory() MemoryStats { return memoryStats(h.memory.Stats()) }
