package ue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A Discoverer finds offload managers. [Addresses] and [SRV] are some; packages below handler/ue/discover have others.
type Discoverer interface {
	// Managers returns the addresses of managers, each "host:port", the best first. It is called before each
	// attempt to connect, by one goroutine, and returns when ctx ends.
	Managers(ctx context.Context) ([]string, error)
}

// Addresses are managers at addresses that are known. They are tried in this order.
type Addresses []string

// Managers implements Discoverer.
func (a Addresses) Managers(context.Context) ([]string, error) { return a, nil }

// SRV finds managers by DNS: by the records _bungee-manager._udp of a domain (RFC 2782). Their TCP has the same port.
type SRV struct {
	Domain   string
	Resolver *net.Resolver // nil: the system's
}

// Managers implements Discoverer.
func (s SRV) Managers(ctx context.Context) ([]string, error) {
	r := s.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	_, records, err := r.LookupSRV(ctx, "bungee-manager", "udp", s.Domain)
	if err != nil {
		return nil, fmt.Errorf("look up the offload managers of %q: %w", s.Domain, err)
	}
	var all []string
	for _, rec := range records {
		all = append(all, net.JoinHostPort(strings.TrimSuffix(rec.Target, "."), strconv.Itoa(int(rec.Port))))
	}
	return all, nil
}

// maxManagers bounds how many managers are tried: a resolver may answer anything.
const maxManagers = 16

// find returns where to look for a manager at the n-th attempt, as a target's address: each attempt begins with the next one.
func find(ctx context.Context, d Discoverer, n int) (string, error) {
	all, err := d.Managers(ctx)
	if err != nil {
		return "", err
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a string) bool {
		_, err := parseHost(a)
		return err != nil
	})
	if len(all) == 0 {
		return "", errors.New("no offload manager is known")
	}
	all = all[:min(len(all), maxManagers)]
	n %= len(all)
	return strings.Join(append(all[n:len(all):len(all)], all[:n]...), ","), nil
}

// Need is what an offload manager is asked for, for each module. The zero Need is ready to use.
type Need struct {
	// Class is the name of a QoS class of the manager. Empty means the policy's default.
	Class string
	// Latency is within which time 99 of 100 calls must be answered. Zero means the shortest that the module's functions require.
	Latency time.Duration
	// Rate is how many calls a second there are. Zero means as many as the functions require, or as InFlight allows.
	Rate float64
	// InFlight is how many calls there are at once. Zero means 1.
	InFlight int
	// Up and Down are the bytes of a request and of a reply. Zero means few.
	Up, Down int
	// Memory is the bytes of an instance. Zero means as the policy says.
	Memory int64
	// Labels are those that the host must have, "key=value".
	Labels []string
	// Price is the most that the host may cost an hour. Zero means the lowest that the functions require, or any.
	Price float64
}

// check says what of n a manager would refuse.
func (n Need) check() error {
	switch {
	case n.Latency < 0, n.InFlight < 0, n.Up < 0, n.Down < 0, n.Memory < 0:
		return errors.New("Config.Need has a number below zero")
	case !(n.Rate >= 0) || math.IsInf(n.Rate, 0), !(n.Price >= 0) || math.IsInf(n.Price, 0):
		return errors.New("Config.Need has a rate or a price that is no number of at least zero")
	case len(n.Class) > wire.MaxClass:
		return fmt.Errorf("Config.Need has a class of %d bytes, over %d", len(n.Class), wire.MaxClass)
	case len(n.Labels) > wire.MaxLabels:
		return fmt.Errorf("Config.Need has %d labels, over %d", len(n.Labels), wire.MaxLabels)
	}
	for _, l := range n.Labels {
		if len(l) > wire.MaxLabel {
			return fmt.Errorf("Config.Need has a label of %d bytes, over %d", len(l), wire.MaxLabel)
		}
	}
	return nil
}

// ask returns the Ask of a module. What n leaves open is what its functions require.
func (n Need) ask(session uint64, module [32]byte, required asked, hosts []string) wire.Ask {
	n.Latency = cmp.Or(n.Latency, required.latency)
	n.Rate = cmp.Or(n.Rate, required.rate)
	n.Price = cmp.Or(n.Price, required.price)
	return wire.Ask{
		Session: session, Module: module, Class: n.Class, Hosts: hosts,
		Need: wire.Need{
			Latency: n.Latency, Rate: n.Rate, Up: n.Up, Down: n.Down, InFlight: max(n.InFlight, 1),
			Memory: n.Memory, Labels: n.Labels, Price: n.Price,
		},
	}
}

// SetNeed changes what the offload manager is asked for, Config.Need, and asks again. It is an error if
// there is no manager, or if a manager would refuse n.
func (h *Handler) SetNeed(n Need) error {
	if h.manager == nil {
		return errors.New("SetNeed needs a handler with Config.Managers")
	}
	if err := n.check(); err != nil {
		return err
	}
	n.Labels = slices.Clone(n.Labels)
	h.manager.mu.Lock()
	h.manager.need = n
	h.manager.needs++
	h.manager.mu.Unlock()
	h.manager.nudge()
	return nil
}
