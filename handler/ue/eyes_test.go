package ue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

func addrs(all ...string) (as []netip.AddrPort) {
	for _, s := range all {
		as = append(as, netip.AddrPortFrom(netip.MustParseAddr(s), 4433))
	}
	return as
}

func TestOrder(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("10.0.0.%d", i)
	}
	tests := []struct {
		why                string
		tried, queue, want []netip.AddrPort
	}{
		{"nothing is nothing", nil, nil, nil},
		{"IPv6 first", nil, addrs("10.0.0.1", "::1"), addrs("::1", "10.0.0.1")},
		{"families alternate, each in the resolver's order", nil, addrs("10.0.0.2", "10.0.0.1", "10.0.0.3", "::2", "::1"), addrs("::2", "10.0.0.2", "::1", "10.0.0.1", "10.0.0.3")},
		{"one family only", nil, addrs("10.0.0.2", "10.0.0.1"), addrs("10.0.0.2", "10.0.0.1")},
		{"after IPv6 it is IPv4's turn", addrs("::9"), addrs("::1", "10.0.0.1"), addrs("10.0.0.1", "::1")},
		{"after IPv4 it is IPv6's turn", addrs("10.0.0.9"), addrs("10.0.0.1", "::1"), addrs("::1", "10.0.0.1")},
		{"each once", addrs("::1"), addrs("::1", "::2", "::2"), addrs("::2")},
		{"not more than are reasonable", addrs("10.1.0.1"), addrs(many...), addrs(many[:maxAddresses-1]...)},
	}
	for _, tt := range tests {
		if got := order(tt.tried, tt.queue); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.why, got, tt.want)
		}
	}
}

// A net is what a race of a test meets: when names are answered and addresses answer.
type raceNet struct {
	names map[string]answer        // by network
	after map[string]time.Duration // by address, until its handshake is done
	fails map[string]error         // by address, at the time of after

	mu      sync.Mutex
	begun   []string     // address and time of each attempt
	open    atomic.Int32 // attempts that have not ended
	dropped []string
}

type answer struct {
	after time.Duration
	ips   []string
	err   error
}

func (n *raceNet) look(ctx context.Context, network, _ string) (ips []netip.Addr, err error) {
	a := n.names[network]
	select {
	case <-time.After(a.after):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for _, ip := range a.ips {
		ips = append(ips, netip.MustParseAddr(ip))
	}
	return ips, a.err
}

// run races for the host and returns the winner and how long it took.
func (n *raceNet) run(ctx context.Context, host string, first netip.AddrPort) (won string, took time.Duration, err error) {
	hosts, err := parseHost(host)
	if err != nil {
		return "", 0, err
	}
	begin := time.Now()
	won, _, err = race(ctx, first, func(ctx context.Context) <-chan found {
		return search(ctx, hosts, n.look)
	}, func(ctx context.Context, at netip.AddrPort) (string, error) {
		ip := at.Addr().String()
		n.mu.Lock()
		n.begun = append(n.begun, fmt.Sprintf("%s %v", ip, time.Since(begin)))
		n.mu.Unlock()
		n.open.Add(1)
		defer n.open.Add(-1)
		after, ok := n.after[ip]
		if !ok {
			after = time.Hour
		}
		select {
		case <-time.After(after):
			return ip, n.fails[ip]
		case <-ctx.Done():
			if after < time.Second { // a handshake that ends as the race does
				return ip, nil
			}
			return "", context.Cause(ctx)
		}
	}, func(late string) { n.dropped = append(n.dropped, late) })
	return won, time.Since(begin), err
}

func notFound() error { return &net.DNSError{Err: "no such host", IsNotFound: true} }

func TestRace(t *testing.T) {
	const ms = time.Millisecond
	refused := errors.New("refused")
	tests := []struct {
		why   string
		net   *raceNet
		host  string
		first string
		won   string
		took  time.Duration
		begun []string
	}{
		{"a dead A record does not hide a live AAAA", &raceNet{
			names: map[string]answer{"ip6": {0, []string{"::6"}, nil}, "ip4": {0, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"::6": 20 * ms},
		}, "edge:4433", "", "::6", 20 * ms, []string{"::6 0s"}},
		{"nor a dead AAAA a live A", &raceNet{
			names: map[string]answer{"ip6": {0, []string{"::6", "::7"}, nil}, "ip4": {0, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"10.0.0.4": 20 * ms},
		}, "edge:4433", "", "10.0.0.4", 270 * ms, []string{"::6 0s", "10.0.0.4 250ms"}},
		{"an address that fails at once is not waited for", &raceNet{
			names: map[string]answer{"ip6": {0, []string{"::6"}, nil}, "ip4": {0, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"::6": 5 * ms, "10.0.0.4": 20 * ms}, fails: map[string]error{"::6": refused},
		}, "edge:4433", "", "10.0.0.4", 25 * ms, []string{"::6 0s", "10.0.0.4 5ms"}},
		{"IPv4 waits 50 ms for a slow AAAA answer", &raceNet{
			names: map[string]answer{"ip6": {time.Hour, nil, nil}, "ip4": {10 * ms, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"10.0.0.4": 20 * ms},
		}, "edge:4433", "", "10.0.0.4", 80 * ms, []string{"10.0.0.4 60ms"}},
		{"and goes second if it comes in time", &raceNet{
			names: map[string]answer{"ip6": {30 * ms, []string{"::6"}, nil}, "ip4": {10 * ms, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"::6": 20 * ms, "10.0.0.4": 0},
		}, "edge:4433", "", "::6", 50 * ms, []string{"::6 30ms"}},
		{"it does not wait for a name without AAAA", &raceNet{
			names: map[string]answer{"ip6": {20 * ms, nil, notFound()}, "ip4": {10 * ms, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"10.0.0.4": 20 * ms},
		}, "edge:4433", "", "10.0.0.4", 40 * ms, []string{"10.0.0.4 20ms"}},
		{"a slow handshake still wins while the others are tried", &raceNet{
			after: map[string]time.Duration{"::1": 600 * ms},
		}, "[::1]:4433,[::2]:4433,[::3]:4433,[::4]:4433", "", "::1", 600 * ms, []string{"::1 0s", "::2 250ms", "::3 500ms"}},
		{"what worked is tried before the name is known", &raceNet{
			names: map[string]answer{"ip6": {40 * ms, []string{"::6"}, nil}, "ip4": {40 * ms, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"10.0.0.4": 20 * ms},
		}, "edge:4433", "10.0.0.4", "10.0.0.4", 20 * ms, []string{"10.0.0.4 0s"}},
		{"also before addresses that need no name", &raceNet{
			after: map[string]time.Duration{"10.0.0.4": 20 * ms},
		}, "[::6]:4433,10.0.0.4:4433", "10.0.0.4", "10.0.0.4", 20 * ms, []string{"10.0.0.4 0s"}},
		{"and when it is gone the others have their turn", &raceNet{
			names: map[string]answer{"ip6": {40 * ms, []string{"::6"}, nil}, "ip4": {40 * ms, []string{"10.0.0.4"}, nil}},
			after: map[string]time.Duration{"::6": 20 * ms},
		}, "edge:4433", "10.0.0.4", "::6", 270 * ms, []string{"10.0.0.4 0s", "::6 250ms"}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var first netip.AddrPort
				if tt.first != "" {
					first = addrs(tt.first)[0]
				}
				won, took, err := tt.net.run(t.Context(), tt.host, first)
				if err != nil || won != tt.won || took != tt.took || !slices.Equal(tt.net.begun, tt.begun) {
					t.Errorf("%s won after %v of %v, %v; want %s after %v of %v", won, took, tt.net.begun, err, tt.won, tt.took, tt.begun)
				}
				if tt.net.open.Load() != 0 {
					t.Errorf("%d attempts are still under way", tt.net.open.Load())
				}
			})
		})
	}
}

// Two handshakes may end at once: one of them is closed.
func TestLateWinnerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := raceNet{after: map[string]time.Duration{"::1": 260 * time.Millisecond, "::2": 10*time.Millisecond + 500*time.Microsecond}}
		won, _, err := n.run(t.Context(), "[::1]:1,[::2]:1", netip.AddrPort{})
		if err != nil || won != "::1" || !slices.Equal(n.dropped, []string{"::2"}) {
			t.Errorf("%s won, %v was dropped, %v; want ::1 and ::2", won, n.dropped, err)
		}
	})
}

func TestRaceFails(t *testing.T) {
	const ms = time.Millisecond
	silent := fmt.Errorf("%w", link.ErrNoAnswer)
	tests := []struct {
		why  string
		net  *raceNet
		host string
		want error
		text string
	}{
		{"one address: its own error, without the address", &raceNet{
			after: map[string]time.Duration{"::1": ms}, fails: map[string]error{"::1": silent},
		}, "[::1]:1", link.ErrNoAnswer, "no answer"},
		{"several: each once, by cause", &raceNet{
			after: map[string]time.Duration{"::1": ms, "10.0.0.1": ms, "::2": ms}, fails: map[string]error{"::1": silent, "10.0.0.1": errors.New("refused"), "::2": silent},
		}, "[::1]:1,10.0.0.1:1,[::2]:1", link.ErrNoAnswer, "[::1]:1 and [::2]:1: no answer; 10.0.0.1:1: refused"},
		{"a host that answers is not looked for elsewhere", &raceNet{
			after: map[string]time.Duration{"::1": 260 * ms}, fails: map[string]error{"::1": &answered{errLeave}},
		}, "[::1]:1,10.0.0.1:1", errLeave, "[::1]:1: " + errLeave.text},
		{"a name that nobody knows", &raceNet{
			names: map[string]answer{"ip6": {ms, nil, notFound()}, "ip4": {ms, nil, notFound()}},
		}, "edge:1", errUnknownName, errUnknownName.text},
		{"a name without addresses", &raceNet{}, "edge:1", errUnknownName, errUnknownName.text},
		{"a resolver that fails", &raceNet{
			names: map[string]answer{"ip6": {ms, nil, notFound()}, "ip4": {ms, nil, &net.DNSError{Err: "server misbehaving", Server: "10.0.0.53:53"}}},
		}, "edge:1", errNoResolver, errNoResolver.text + " (server misbehaving)"},
		{"a resolver that is silent", &raceNet{
			names: map[string]answer{"ip6": {time.Hour, nil, nil}, "ip4": {time.Hour, nil, nil}},
		}, "edge:1", errNoResolver, errNoResolver.text + " (context deadline exceeded)"},
		{"an address that is silent", &raceNet{}, "[::1]:1", link.ErrNoAnswer, "no answer (context deadline exceeded)"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, _, err := tt.net.run(ctx, tt.host, netip.AddrPort{})
			if !errors.Is(err, tt.want) || err.Error() != tt.text || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %q, want %q", tt.why, err, tt.text)
			}
			if tt.want == errUnknownName && offload.CodeOf(err) != offload.CodeUnavailable {
				t.Errorf("%s: code %v", tt.why, offload.CodeOf(err))
			}
		})
	}
}

// What worked on a network is known there for ten minutes, and nowhere else.
func TestNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns networks
		at := addrs("192.0.2.1", "::9")
		on := func(ip string) func(netip.AddrPort) netip.Addr {
			return func(netip.AddrPort) netip.Addr { return netip.MustParseAddr(ip) }
		}
		ns.remember("edge", at[0], netip.MustParseAddr("10.0.1.5"), false)
		ns.remember("edge", at[1], netip.MustParseAddr("2001:db8:0:1::5"), false)
		ns.remember("edge", at[1], netip.Addr{}, false) // not known where
		tests := []struct {
			host, from string
			want       netip.AddrPort
		}{
			{"edge", "10.0.1.77", at[0]},
			{"edge", "2001:db8:0:1::77", at[1]},
			{"edge", "10.0.2.5", netip.AddrPort{}},
			{"other", "10.0.1.5", netip.AddrPort{}},
		}
		for _, tt := range tests {
			if got := ns.recall(tt.host, on(tt.from)); got != tt.want {
				t.Errorf("%s from %s: got %v, want %v", tt.host, tt.from, got, tt.want)
			}
		}
		if got := ns.recall("edge", func(netip.AddrPort) netip.Addr { return netip.Addr{} }); got.IsValid() {
			t.Errorf("without a route: got %v", got)
		}
		time.Sleep(knownFor)
		if got := ns.recall("edge", on("10.0.1.5")); got.IsValid() {
			t.Errorf("after %v: got %v", knownFor, got)
		}
		ns.remember("edge", at[0], netip.MustParseAddr("10.0.1.5"), false)
		if n := len(ns.known["edge"]); n != 1 {
			t.Errorf("%d addresses are kept, want 1", n)
		}
	})
}
