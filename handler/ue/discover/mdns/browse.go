package mdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// MaxOfSender is how many addresses of one sender count.
	MaxOfSender = 4
	maxSenders  = 64
	maxPackets  = 512 // that are read from a socket; of one sender, MaxOfSender

	usualWait = 2 * time.Second // 3 s of an attempt's five are left for the manager
	again     = time.Second     // RFC 6762, section 5.2: the second question
	settle    = 250 * time.Millisecond
)

// A Browser finds offload managers on the local links. The zero Browser is ready to use, by any number of goroutines.
type Browser struct {
	// Wait is how long the first answer is waited for. Zero means 2 s. Others that come within 250 ms of it count, too.
	Wait time.Duration
	// Interfaces are the names of those to ask on. Empty means all that are up and can multicast, but the loopback.
	Interfaces []string
}

// Managers implements the Discoverer of package ue: it asks on all interfaces at once, again after a second, and returns the
// addresses that were answered, drawn in a new order each time. It is an error if nobody has answered.
func (b Browser) Managers(ctx context.Context) ([]string, error) {
	links, err := linksOf(b.Interfaces)
	if err != nil {
		return nil, err
	}
	if len(links) == 0 && len(b.Interfaces) > 0 {
		return nil, fmt.Errorf("of the interfaces %q none is up and has an address", b.Interfaces)
	} else if len(links) == 0 {
		return nil, errNoLink
	}
	asking, cancel := context.WithTimeout(ctx, cmp.Or(b.Wait, usualWait))
	defer cancel()
	f := &findings{senders: map[netip.Addr][]string{}, first: make(chan struct{})}
	if err := ask(asking, links, f); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if all := f.draw(); len(all) > 0 {
		return all, nil
	}
	return nil, fmt.Errorf("no offload manager answers by mDNS on %s", names(links))
}

func names(links []link) string {
	var all []string
	for _, l := range links {
		all = append(all, l.ifi.Name)
	}
	return strings.Join(all, ", ")
}

// findings are the answers to a question. Any goroutine adds some.
type findings struct {
	mu      sync.Mutex
	senders map[netip.Addr][]string // addresses of managers
	found   bool
	first   chan struct{} // closed when there is one
}

// add takes the addresses that a sender has answered.
func (f *findings) add(sender netip.Addr, all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	had, known := f.senders[sender]
	if !known && len(f.senders) >= maxSenders {
		return
	}
	for _, a := range all {
		if !slices.Contains(had, a) && len(had) < MaxOfSender {
			had = append(had, a)
		}
	}
	if f.senders[sender] = had; len(had) > 0 && !f.found {
		f.found = true
		close(f.first)
	}
}

// draw returns what was found, once each: the first address of each sender, in an order that chance decides, then the second ones.
func (f *findings) draw() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var senders [][]string
	for _, s := range f.senders {
		senders = append(senders, s)
	}
	rand.Shuffle(len(senders), func(i, j int) { senders[i], senders[j] = senders[j], senders[i] })
	for i := range MaxOfSender {
		for _, s := range senders {
			if i < len(s) && !slices.Contains(all, s[i]) {
				all = append(all, s[i])
			}
		}
	}
	return all
}

// ask asks on all links and listens until ctx ends, or nothing more is to come.
func ask(ctx context.Context, links []link, f *findings) error {
	var wg sync.WaitGroup
	var asks []*asker
	var errs []error
	for _, l := range links {
		for _, six := range []bool{false, true} {
			if !l.local(six).IsValid() {
				continue
			}
			a, err := newAsker(l, six)
			if err != nil {
				errs = append(errs, fmt.Errorf("ask on %s: %w", l.ifi.Name, err))
				continue
			}
			asks = append(asks, a)
		}
	}
	defer wg.Wait()
	defer func() {
		for _, a := range asks {
			a.conn.Close()
		}
	}()
	for _, a := range asks {
		wg.Go(func() { a.listen(f) })
	}
	sent := 0
	for _, a := range asks {
		if err := a.send(); err != nil {
			errs = append(errs, fmt.Errorf("ask on %s: %w", a.link.ifi.Name, err))
		} else {
			sent++
		}
	}
	if sent == 0 {
		return errors.Join(errs...)
	}
	await(ctx, asks, f)
	return nil
}

// await returns when what was found has settled, or ctx ends. It asks once again in between.
func await(ctx context.Context, asks []*asker, f *findings) {
	resend := time.NewTimer(again)
	defer resend.Stop()
	for {
		select { // found, time to ask again, the end
		case <-f.first:
			settled := time.NewTimer(settle)
			defer settled.Stop()
			select {
			case <-settled.C:
			case <-ctx.Done():
			}
			return
		case <-resend.C:
			for _, a := range asks {
				a.send() // an interface that has gone meanwhile has no answers
			}
		case <-ctx.Done():
			return
		}
	}
}

// An asker asks on a link, by one family.
type asker struct {
	link link
	conn *net.UDPConn
	to   netip.AddrPort
	id   uint16
}

func newAsker(l link, six bool) (*asker, error) {
	a := &asker{link: l, to: netip.AddrPortFrom(group4, port), id: uint16(rand.Uint32())}
	network := "udp4"
	if six {
		network, a.to = "udp6", netip.AddrPortFrom(group6.WithZone(l.ifi.Name), port)
	}
	var err error
	if a.conn, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.local(six), 0))); err != nil {
		return nil, err
	}
	if six {
		p := ipv6.NewPacketConn(a.conn)
		err = errors.Join(p.SetMulticastInterface(&l.ifi), p.SetMulticastHopLimit(255))
	} else {
		p := ipv4.NewPacketConn(a.conn)
		err = errors.Join(p.SetMulticastInterface(&l.ifi), p.SetMulticastTTL(255))
	}
	if err != nil {
		a.conn.Close()
		return nil, err
	}
	return a, nil
}

// send asks for managers, and for an answer to this socket alone: it is none of port 5353 (RFC 6762, section 6.7).
func (a *asker) send() error {
	b, err := query(a.id)
	if err == nil {
		_, err = a.conn.WriteToUDPAddrPort(b, a.to)
	}
	return err
}

// listen takes answers until the socket is closed, or too much has come.
func (a *asker) listen(f *findings) {
	b := make([]byte, maxPacket+1)
	heard := map[netip.Addr]int{}
	for range maxPackets {
		n, from, err := a.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // Windows tells here that somebody's port is closed
		}
		sender := from.Addr().Unmap()
		if heard[sender]++; heard[sender] > MaxOfSender {
			continue
		}
		m, err := parse(b[:n])
		if err != nil || !m.response || m.id != a.id || from.Port() != port || !a.link.has(sender) {
			continue // of something else, or of someone who is not on this link
		}
		f.add(a.link.zoned(sender), a.link.managers(m, a.link.zoned(sender)))
	}
}

// managers returns where the managers are that a message of sender names: on this link.
func (l link) managers(m message, sender netip.Addr) (all []string) {
	for _, ptr := range m.records {
		if ptr.kind != typePTR || ptr.name != service || ptr.ttl == 0 {
			continue
		}
		for _, srv := range m.records {
			if srv.kind != typeSRV || srv.name != ptr.target || srv.ttl == 0 || srv.port == 0 {
				continue
			}
			for _, a := range l.addresses(m, srv.target, sender) {
				all = append(all, netip.AddrPortFrom(a, srv.port).String())
			}
		}
	}
	return all
}

// addresses returns those of the host of that name, the best first. A message without any means its sender.
func (l link) addresses(m message, host name, sender netip.Addr) (all []netip.Addr) {
	some := false
	for _, r := range m.records {
		if (r.kind != typeA && r.kind != typeAAAA) || r.name != host || r.ttl == 0 {
			continue
		}
		some = true
		if a := l.zoned(r.addr); l.has(a) && (!a.IsLoopback() || sender.IsLoopback()) && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	if !some {
		return []netip.Addr{sender}
	}
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return cmp.Compare(rank(a), rank(b)) })
	return all[:min(len(all), MaxOfSender)]
}
