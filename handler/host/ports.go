package host

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Ports are the UDP ports from First to Last, at most [MaxPorts] of them. The zero Ports are none.
type Ports struct{ First, Last int }

// MaxPorts bounds how many ports the leases of a host may have.
const MaxPorts = 1024

// ParsePorts reads what String writes: "20000-20999". Empty are no ports.
func ParsePorts(s string) (Ports, error) {
	if s == "" {
		return Ports{}, nil
	}
	first, last, ok := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	p := Ports{int(a), int(b)}
	if !ok || err1 != nil || err2 != nil || p == (Ports{}) {
		return Ports{}, fmt.Errorf("%.40q are no ports; want the first and the last one, such as 20000-20999", s)
	}
	if err := p.check(); err != nil {
		return Ports{}, err
	}
	return p, nil
}

// String returns the first and the last port.
func (p Ports) String() string {
	if p == (Ports{}) {
		return ""
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

func (p Ports) check() error {
	if p != (Ports{}) && (p.First < 1 || p.Last > 65535 || p.First > p.Last || p.count() > MaxPorts) {
		return fmt.Errorf("ports %v: want at most %d of 1 to 65535, the first one first", p, MaxPorts)
	}
	return nil
}

func (p Ports) count() int { return p.Last - p.First + 1 }

// A door is a UDP port of the host by which one lease's UE comes, and nobody else.
type door struct {
	port  int
	lease lease.ID
	ue    string // its ID
	ln    *link.Listener

	tenant *tenant      // of the UE
	held   budget.Lease // of its memory, until the port is closed
}

// doorCost is what a door holds: 201 KiB were measured of the buffers, goroutines and windows of its socket.
const doorCost = 208 << 10

// openDoor opens a door for l, and holds what that costs for the tenant of its UE. Its error is a *wire.Fail.
func (s *steward) openDoor(l lease.Lease) (d *door, err error) {
	owner, err := ownerOf(l)
	if err != nil {
		return nil, err
	}
	t := s.h.enter(owner)
	held, err := t.memory.Try(doorCost)
	if err == nil {
		d, err = s.openPort(l)
	}
	if err != nil {
		held.Release()
		s.h.leave(t)
		return nil, noRoom(err)
	}
	d.tenant, d.held = t, held
	s.h.serveDoor(d)
	s.h.cfg.Logger.Info("lease has a port", "ue", l.UE, "lease", fmt.Sprintf("%x", l.ID[:4]), "port", d.port)
	return d, nil
}

// ownerOf returns the tenant of a lease's UE. Its error is a *wire.Fail.
func ownerOf(l lease.Lease) (string, error) {
	ue, err := identity.ParseID(l.UE)
	if err != nil || ue.Role != identity.UE {
		return "", notAccepted(fmt.Errorf("%.300q is no UE", l.UE))
	}
	return ue.Tenant, nil
}

// openPort opens a door at the next port that is free. So the one that was closed last is the last to be opened
// again: its UE may still send there. Its error is a *wire.Fail.
func (s *steward) openPort(l lease.Lease) (*door, error) {
	ports := s.cfg.Ports
	var why error
	for range ports.count() {
		at := s.at
		at.Port = ports.First + s.tried%ports.count()
		s.tried++
		pc, err := s.cfg.ListenAt(&at)
		if err != nil { // in use, by another lease or another program
			why = err
			continue
		}
		d := &door{port: at.Port, lease: l.ID, ue: l.UE}
		if d.ln, err = s.first.Also(link.Logged(pc, s.h.cfg.Logger)); err != nil {
			return nil, &wire.Fail{Code: offload.CodeOverloaded, Text: fmt.Sprintf("UDP port %d for the lease: %v", d.port, err)}
		}
		d.ln.OnStranger(s.h.stranger)
		return d, nil
	}
	return nil, &wire.Fail{Code: offload.CodeOverloaded, Text: fmt.Sprintf("no UDP port of %v is free for the lease, the last one because of: %v", ports, why)}
}

// closeDoors closes those that are of no lease, or of one that has ended and has no connection.
func (m *managed) closeDoors() {
	m.mu.Lock()
	unused := append(m.leases.takeDoors(), m.idle...)
	m.idle = nil
	m.mu.Unlock()
	for _, d := range unused {
		m.h.closeDoor(d)
	}
}

// addresses returns where the UE of g may come: by its door, and then by the host's own port, which has TCP. None: where the
// host has told its manager that it is.
func (m *managed) addresses(g *grant) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addressesLocked(g)
}

func (m *managed) addressesLocked(g *grant) (all []string) {
	if g.door == nil {
		return nil
	}
	for _, addr := range m.cfg.Advertise[:min(len(m.cfg.Advertise), wire.MaxAddresses-1)] {
		host, _, _ := net.SplitHostPort(addr) // newManaged has
		all = append(all, net.JoinHostPort(host, strconv.Itoa(g.door.port)))
	}
	return append(all, m.cfg.Advertise[:min(len(m.cfg.Advertise), wire.MaxAddresses-len(all))]...)
}

// serveDoor accepts UEs that come by d until it is closed.
func (h *Handler) serveDoor(d *door) {
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.listener = append(h.listener, d.ln)
	}
	h.mu.Unlock()
	if closed {
		d.ln.Close()
	}
	h.wg.Go(func() {
		defer h.leave(d.tenant)
		defer d.held.Release()
		for {
			conn, err := d.ln.Accept(context.Background())
			if err != nil {
				return
			}
			h.start(conn, d)
		}
	})
}

// closeDoor closes d, unless Close does.
func (h *Handler) closeDoor(d *door) {
	h.mu.Lock()
	i := slices.Index(h.listener, d.ln)
	if i >= 0 {
		h.listener = slices.Delete(h.listener, i, i+1)
		h.strayed.Add(d.ln.HandshakeFailures())
	}
	h.mu.Unlock()
	if i >= 0 {
		d.ln.Close()
	}
}
