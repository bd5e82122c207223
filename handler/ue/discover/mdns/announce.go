package mdns

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	lookEvery   = 2 * time.Second // at the interfaces
	announced   = 2               // times that a link is told, RFC 6762, section 8.3
	maxAnswers  = 200             // a second, to those who want them alone
	maxInstance = 40              // bytes of a manager's name in what is announced
)

// An Announcer tells the local links where an offload manager listens. Addr must be set.
type Announcer struct {
	// Name is the manager's, for people who browse. Empty means "manager". Characters other than letters, digits, "-" and "_" become "-", and
	// eight random bytes follow it, so that no two are alike and none needs to be defended.
	Name string
	// Addr is where the manager listens. An unspecified IP address means all addresses of this machine; another one is announced alone,
	// on the interface that has it.
	Addr netip.AddrPort
	// Interfaces are the names of those to announce on. Empty means all that are up and can multicast, but the loopback.
	Interfaces []string
	// Logger gets a record for each interface that begins and ends, and for one that cannot be used. Nil is silent.
	Logger *slog.Logger
}

// Run announces until ctx ends, says goodbye, and returns nil. Interfaces may come, go and change their addresses meanwhile. Its error says that port 5353 cannot
// be had, or that Addr is none.
func (a Announcer) Run(ctx context.Context) error {
	if !a.Addr.IsValid() || a.Addr.Port() == 0 {
		return fmt.Errorf("announce a manager: %q has no port or no address", a.Addr)
	}
	n := &announcer{Announcer: a, log: a.Logger, links: map[int]*place{}}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	var id [8]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	n.entry = entry{instance: label(cmp.Or(a.Name, "manager")) + "-" + hex.EncodeToString(id[:]), host: "bungee-" + hex.EncodeToString(id[:]), port: a.Addr.Port()}
	return n.run(ctx)
}

// label returns s as a part of a label of DNS that everybody can read.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s)
	return s[:min(len(s), maxInstance)]
}

// An announcer announces an entry. Its readers and run share it.
type announcer struct {
	Announcer
	entry entry
	log   *slog.Logger

	mu      sync.Mutex // leaf, but for packets that are sent
	sockets [2]*socket // of IPv4 and IPv6; nil: not yet
	links   map[int]*place
	second  time.Time // that answers are counted in
	answers int
	readers sync.WaitGroup
}

// A place is a link that is announced on.
type place struct {
	link
	addrs    []netip.Addr // that are announced
	told     int          // times
	answered time.Time    // when all were answered last
	joined   [2]bool      // the groups
}

// run looks at the interfaces until ctx ends.
func (n *announcer) run(ctx context.Context) error {
	defer n.readers.Wait()
	defer n.end()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := n.look(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// end says goodbye and closes the sockets.
func (n *announcer) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.links {
		n.tell(p, 0)
	}
	for _, s := range n.sockets {
		if s != nil {
			s.conn.Close()
		}
	}
}

// look takes note of the interfaces that there are, and announces on those that are new or have changed.
func (n *announcer) look() error {
	links, err := linksOf(n.Interfaces)
	if err != nil {
		n.log.Warn("interfaces cannot be looked at", "why", err)
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var there []int
	for _, l := range links {
		addrs := n.announces(l)
		if len(addrs) == 0 {
			continue
		}
		there = append(there, l.ifi.Index)
		p := n.links[l.ifi.Index]
		if p == nil || p.ifi.Name != l.ifi.Name {
			p = &place{}
			n.links[l.ifi.Index] = p
			n.log.Info("announced by mDNS", "interface", l.ifi.Name)
		}
		if p.link = l; !slices.Equal(p.addrs, addrs) {
			p.addrs, p.told = addrs, 0
		}
		if err := n.join(p); err != nil {
			return err
		}
		if p.told < announced {
			p.told++
			n.tell(p, ttl)
		}
	}
	for index, p := range n.links {
		if !slices.Contains(there, index) {
			n.log.Info("no longer announced by mDNS", "interface", p.ifi.Name)
			n.leave(p)
			delete(n.links, index)
		}
	}
	return nil
}

// announces returns the addresses that are announced on a link.
func (n *announcer) announces(l link) (all []netip.Addr) {
	only := n.Addr.Addr().Unmap().WithZone("")
	for _, p := range l.nets {
		a := p.Addr()
		if a == only || only.IsUnspecified() && (only.Is6() || a.Is4()) {
			all = append(all, a)
		}
	}
	return all
}

// join has packets of a link's groups come. It opens the sockets at the first link.
func (n *announcer) join(p *place) error {
	var errs []error
	for i := range n.sockets {
		if p.joined[i] || !p.local(i == 1).IsValid() {
			continue
		}
		if n.sockets[i] == nil {
			s, err := listen(&p.ifi, i == 1)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			n.sockets[i] = s
			n.readers.Go(func() { n.hear(s) })
		}
		if err := n.sockets[i].join(&p.ifi); err != nil {
			n.log.Warn("an interface cannot be announced on", "interface", p.ifi.Name, "why", err)
		}
		p.joined[i] = true
	}
	if n.sockets == [2]*socket{} && len(errs) > 0 {
		return fmt.Errorf("announce by mDNS: %w", errors.Join(errs...))
	}
	return nil
}

// leave has packets of a link's groups come no more. If the link is gone, they are not coming.
func (n *announcer) leave(p *place) {
	for i, s := range n.sockets {
		if s != nil && p.joined[i] {
			s.leave(&p.ifi)
		}
	}
}

// tell tells all on a link, for so many seconds.
func (n *announcer) tell(p *place, seconds uint32) {
	b, err := n.entry.pack(reply{addrs: p.addrs, ttl: seconds})
	if err != nil {
		n.log.Warn("nothing can be announced", "why", err)
		return
	}
	for i, s := range n.sockets {
		if s != nil && p.joined[i] {
			s.tell(b, &p.ifi) // a link that has gone is noticed by looking
		}
	}
}

// maxReadErrors is how many in a row end a reader: that of an interface which went down is one.
const maxReadErrors = 16

// hear answers what comes by a socket, until it is closed. One that cannot be read from is opened anew at the next look.
func (n *announcer) hear(s *socket) {
	b := make([]byte, maxPacket+1)
	for failed := 0; failed < maxReadErrors; {
		size, index, from, err := s.read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if failed++; err == nil {
			failed = 0
			if m, err := parse(b[:size]); err == nil && !m.response {
				n.answer(s, m, index, from, time.Now())
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.conn.Close()
	for i := range n.sockets {
		if n.sockets[i] == s {
			n.sockets[i] = nil
			for _, p := range n.links {
				p.joined[i] = false
			}
		}
	}
}

// answer answers a query that came by the interface of that index, 0 if that is not known.
func (n *announcer) answer(s *socket, m message, index int, from netip.AddrPort, now time.Time) {
	var asked []question
	r := reply{ttl: ttl}
	alone := from.Port() != port
	for _, q := range m.questions {
		if n.entry.concerns(q) {
			asked = append(asked, q)
			r.listed = r.listed || q.name == services
			alone = alone || q.alone
		}
	}
	if len(asked) == 0 || n.entry.known(m) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.from(index, from.Addr())
	if p == nil || !n.may(p, alone, now) {
		return
	}
	r.addrs = p.addrs
	if from.Port() != port {
		r.ttl, r.id, r.asked = aloneTTL, m.id, asked[:1]
	}
	b, err := n.entry.pack(r)
	switch {
	case err != nil:
		n.log.Warn("nothing can be announced", "why", err)
	case alone:
		s.conn.WriteToUDPAddrPort(b, from) // who does not get it asks again
	default:
		s.tell(b, &p.ifi)
	}
}

// from returns the link that a packet came by, nil if its sender is not on a link that is announced on.
func (n *announcer) from(index int, sender netip.Addr) *place {
	if p := n.links[index]; p != nil && p.has(sender) {
		return p
	}
	for _, p := range n.links {
		if index == 0 && p.has(sender) && (sender.Zone() == "" || sender.Zone() == p.ifi.Name) {
			return p
		}
	}
	return nil
}

// may says whether an answer is within its bounds: to all on a link once a second (RFC 6762, section 6), to one alone maxAnswers times.
func (n *announcer) may(p *place, alone bool, now time.Time) bool {
	if !alone {
		was := p.answered
		if now.Sub(was) < time.Second {
			return false
		}
		p.answered = now
		return true
	}
	if now.Sub(n.second) >= time.Second {
		n.second, n.answers = now, 0
	}
	n.answers++
	return n.answers <= maxAnswers
}
