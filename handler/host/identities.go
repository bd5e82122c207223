package host

import (
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// checkEvery is how often the certificates of UEs are checked again. From a change of a file to the end
// of a revoked UE's sessions it takes this and as long as a Source of package identity waits, 1.5 s
// together; 2 s are promised.
const checkEvery = time.Second

// watchIdentities ends connections whose UE would not be accepted any longer, and warns once a day of
// the end of the host's own certificate. While there is no connection it sleeps: each new one is checked
// by its handshake.
func (h *Handler) watchIdentities() {
	var own identity.Reminder
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	second := time.NewTicker(checkEvery)
	defer second.Stop()
	for ticking := true; ; {
		if err := own.Due(h.cfg.TLS, time.Now()); err != nil {
			h.cfg.Logger.Warn("certificate", "why", err)
		}
		// A second has passed and there are connections; one has come; a day has passed; the handler ends.
		select {
		case <-second.C:
			if ticking = h.checkPeers(); !ticking {
				second.Stop()
			}
		case <-h.came: // however many come, all are checked once a second
			if !ticking {
				second.Reset(checkEvery)
				ticking = true
			}
		case <-day.C:
		case <-h.shut:
			return
		}
	}
}

// checkPeers checks the UEs of all connections. It returns false when there is none.
func (h *Handler) checkPeers() bool {
	h.mu.Lock()
	all := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	for _, c := range all {
		if why := c.link.PeerFault(); why != nil && !c.dismissed {
			c.dismissed = true
			h.cfg.Logger.Warn("sessions of a UE are ended", "ue", c.ue, "addr", c.link.RemoteAddr().String(), "why", why)
			h.wg.Go(func() { c.link.Dismiss(why) }) // a peer that does not read holds up nobody else
		}
	}
	return len(all) > 0
}

// CertificateEnds returns when the host's certificate ends, as it is read now. It is the zero time when
// Config.TLS does not say.
func (h *Handler) CertificateEnds() time.Time { return identity.Ends(h.cfg.TLS) }

// note leaves a note in c, whose capacity is 1.
func note(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
