package host

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// refusals count what the host has refused or could not do, by code. Codes beyond the array, which
// the protocol does not have, count as internal.
type refusals [128]atomic.Uint64

func (r *refusals) add(c offload.Code) {
	if int(c) >= len(r) {
		c = offload.CodeInternal
	}
	r[c].Add(1)
}

// How many refusals of a tenant a second are told at once, and how many together. A further one is told after a
// pause, in which its stream can ask nothing else: who asks again and again what is refused takes the host's
// core with that, as no turn bounds it.
const (
	refusalsPerSecond = 100
	refusalsAtOnce    = 200
	refusalPause      = 500 * time.Millisecond
)

// pace waits, until ctx ends at most, before the tenant is told of a refusal of which there were too many.
func (t *tenant) pace(ctx context.Context) {
	if t.refused.Allow() {
		return
	}
	pause := time.NewTimer(refusalPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
}

// refused counts a refusal, and paces it.
func (s *session) refused(ctx context.Context, code offload.Code) {
	s.h.refusals.add(code)
	s.tenant.pace(ctx)
}

// Refusals returns how many requests, calls and messages the host has answered with each code:
// those that it refused, and those that failed.
func (h *Handler) Refusals() map[offload.Code]uint64 {
	all := map[offload.Code]uint64{}
	for c := range h.refusals {
		if n := h.refusals[c].Load(); n > 0 {
			all[offload.Code(c)] = n
		}
	}
	return all
}

// HandshakeFailures returns how many handshakes of UEs, over QUIC and TCP, have failed. It is zero
// once the handler is closed.
func (h *Handler) HandshakeFailures() (sum link.HandshakeFailures) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sum = h.strayed
	for _, l := range h.listener {
		sum.Add(l.HandshakeFailures())
	}
	for _, l := range h.tcp {
		sum.Add(l.HandshakeFailures())
	}
	return sum
}
