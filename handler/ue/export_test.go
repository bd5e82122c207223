package ue

import (
	"time"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/offload"
)

// ForgetNetworks forgets what handlers have learned of networks.
func ForgetNetworks() {
	reached.mu.Lock()
	defer reached.mu.Unlock()
	reached.known = nil
}

// Find and CheckNeed are for tests of what a handler asks of managers.
var (
	Find      = find
	CheckNeed = Need.check
)

// Looker returns what makes a view of h, with a call at each place for each function since the one before.
func Looker(h *Handler, n *notifier.Notifier) (look func()) {
	v := newViewer(h, &Config{Notifier: n})
	v.view.Store(h.viewer.view.Load())
	return func() {
		for _, f := range *h.functions.Load() {
			f.Ran(5 * time.Millisecond)
			f.Answered(&offload.Trace{
				Encode: time.Millisecond, Network: 9 * time.Millisecond, Run: 4 * time.Millisecond, BytesUp: 50_000, BytesDown: 500,
			}, 15*time.Millisecond)
		}
		v.look(time.Since(v.began))
	}
}
