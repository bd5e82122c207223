package host

import (
	"sync/atomic"

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
	for _, l := range h.listener {
		sum.Add(l.HandshakeFailures())
	}
	for _, l := range h.tcp {
		sum.Add(l.HandshakeFailures())
	}
	return sum
}
